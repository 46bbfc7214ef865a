import type { Resources } from '../../model/job-spec.ts'

/**
 * An option of bsub in our words; null where we have none for it, or not for this value: it stays as it is. Memory without a unit stays, since
 * what it means is the site's (LSF_UNIT_FOR_LIMITS).
 */
export function readOption(flag: string, value: string | null): Partial<Resources> | null {
  if (flag === 'x') return { exclusive: true }
  if (value === null) return null
  switch (flag) {
    case 'q':
      return plain(value) ? { partition: value } : null
    case 'P':
      return plain(value) ? { account: value } : null
    case 'U':
      return plain(value) ? { reservation: value } : null
    case 'n':
      return /^[1-9]\d{0,8}$/.test(value) ? { ntasks: Number(value) } : null
    case 'W':
      return readRunLimit(value)
    case 'M':
      return readMemory(value)
    case 'R':
      return readRequirement(value)
    case 'gpu':
      return readGpus(value)
    default:
      return null
  }
}

function plain(value: string): boolean {
  return /^[\w.@%+/][\w.@%+/:-]*$/.test(value)
}

/** `[hours:]minutes`; with `/host` behind it it is a time on another machine, and stays. */
function readRunLimit(value: string): Partial<Resources> | null {
  const found = /^(?:(\d{1,6}):)?(\d{1,7})$/.exec(value)
  if (found === null) return null
  const time = Number(found[1] ?? 0) * 3_600 + Number(found[2]) * 60
  return time > 0 ? { time } : null
}

const mebibytes: Readonly<Record<string, number>> = { K: 1 / 1024, M: 1, G: 1024, T: 1024 * 1024 }

function readMemory(value: string): { mem: number } | null {
  const found = /^(\d{1,12}(?:\.\d{1,6})?)([KMGT])B?$/i.exec(value)
  if (found === null) return null
  const mem = Math.ceil(Number(found[1]) * mebibytes[found[2]!.toUpperCase()]!)
  return mem > 0 ? { mem } : null
}

/** `span[hosts=1]`, `span[ptile=8]`, `rusage[mem=4GB/host]`, several of them; what holds anything else stays whole. */
function readRequirement(value: string): Partial<Resources> | null {
  const found: { -readonly [K in keyof Resources]: Resources[K] } = {}
  const sections = value.match(/[a-z]+\[[^\]]*\]/g) ?? []
  if (sections.length === 0 || sections.join('') !== value.replace(/\s+/g, '')) return null
  for (const section of sections) {
    const ptile = /^span\[ptile=([1-9]\d{0,6})\]$/.exec(section)?.[1]
    const memory = /^rusage\[mem=([^:,\]]+)\/(host|task)\]$/.exec(section)
    const size = memory === null ? null : readMemory(memory[1]!)
    if (section === 'span[hosts=1]') found.nodes = 1
    else if (ptile !== undefined) found.ntasks_per_node = Number(ptile)
    else if (size !== null && memory![2] === 'host') found.mem = size.mem
    else if (size !== null) found.mem_per_cpu = size.mem
    else return null
  }
  return found
}

function readGpus(value: string): Partial<Resources> | null {
  const found = /^num=([1-9]\d{0,4})(?:\/host)?:j_exclusive=yes(?::gmodel=([A-Za-z0-9][\w.+]*))?$/.exec(value)
  return found === null ? null : { gpus_per_node: { type: found[2] ?? null, count: Number(found[1]) } }
}
