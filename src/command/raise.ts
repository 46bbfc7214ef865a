import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { CompopsError } from '../errors.ts'
import type { JobSpec, Resources } from '../model/job-spec.ts'
import { overPolicy } from '../model/policy.ts'
import { parseMemory } from '../model/resources.ts'
import { parseWalltime } from '../model/walltime.ts'
import type { Order } from './order.ts'

/**
 * `--mem 8G`, `--time 4h`: what a person gives a job for its next attempts. A limit of the site holds here too. Throws CompopsError with what to write instead;
 * undefined: nothing was said.
 */
export function readRaised(
  context: Context,
  order: Pick<Order, 'args' | 'project'>,
  spec: JobSpec,
): Pick<Resources, 'mem' | 'time'> | undefined {
  const { mem, time, why: _, ...others } = order.args.options
  const [strange] = Object.keys(others)
  if (strange !== undefined) throw new CompopsError(`--${strange} is not understood here: write --mem 8G or --time 4h`)
  if (mem === undefined && time === undefined) return undefined
  if (mem !== undefined && spec.resources.mem_per_cpu !== undefined)
    throw new CompopsError(`${spec.name} asks for mem_per_cpu, which --mem cannot stand beside: change the file`)
  const raised = {
    ...(mem === undefined ? {} : { mem: amountOf('mem', parseMemory(mem)) }),
    ...(time === undefined ? {} : { time: amountOf('time', parseWalltime(time)) }),
  }
  const policy = projectFor(context.config, order.project.path)?.policy
  const [over] = policy === undefined ? [] : overPolicy({ ...spec.resources, ...raised }, policy)
  if (over !== undefined && over.key === 'time' && raised.time !== undefined)
    throw new CompopsError(`${over.message} ${over.remedy}`)
  return raised
}

type Parsed = ReturnType<typeof parseMemory>

function amountOf(option: string, parsed: Parsed): number {
  if (parsed.ok) return parsed.value
  throw new CompopsError(`--${option}: ${parsed.message} ${parsed.remedy}`)
}
