import type { DemoCheck } from './check.ts'

/** One numbered line of the story; on a terminal it is drawn over until it ends. */
export interface Line {
  progress(text: string, done: number, of: number, after: string): void
  end(result: string): void
}

const width = 57

export function openTerminal(out: NodeJS.WriteStream = process.stdout) {
  const live = out.isTTY === true
  const dim = (text: string) => (live ? `\x1b[2m${text}\x1b[22m` : text)
  const bold = (text: string) => (live ? `\x1b[1m${text}\x1b[22m` : text)
  let number = 0
  return {
    title(text: string, addresses: readonly (readonly [string, string])[]) {
      out.write('\n')
      addresses.forEach(([name, url], index) => {
        const left = index === 0 ? text : ''
        out.write(
          `  ${index === 0 ? bold(left) : left}${' '.repeat(width - left.length)}${dim(name.padEnd(18))}${url}\n`,
        )
      })
      out.write('\n')
    },
    line(text: string): Line {
      const label = String(++number).padStart(2)
      let current = text
      const draw = (right: string, end: string) => {
        const body = current.length > width - 6 ? `${current.slice(0, width - 7)}…` : current
        out.write(`${live ? '\r\x1b[K' : ''}${dim(label)}  ${body.padEnd(width - 4)}  ${right}${end}`)
      }
      if (live) draw('', '')
      return {
        progress(text, done, of, after) {
          const bar = '▇'.repeat(Math.round((done / of) * 9)).padEnd(9, '▁')
          current = `${text}  ${bar}`
          if (live) draw(after, '')
        },
        end: result => draw(result, '\n'),
      }
    },
    verdict(check: readonly DemoCheck[]) {
      const missing = check.filter(one => !one.ok)
      out.write(
        missing.length === 0
          ? '\n  Status, note and evidence are all right.\n\n'
          : `\n  Not right: ${missing.map(one => one.what).join(', ')}\n\n`,
      )
    },
    invite(url: string, configFile: string) {
      const login = url.replace('://', '://root:demo@')
      out.write(`
  Look:
    ${url}/physics/heat/-/merge_requests/1
    ${url}/physics/heat/-/merge_requests/2
    ${url}/physics/heat/-/tree/compops/evidence

  Try it yourself:
    git clone ${login}/physics/heat.git && cd heat
    git checkout -b calc/mine
    sed -i 's/cells: 120/cells: 240/' .compops.yml
    git commit -am 'finer mesh' && git push -u -o merge_request.create origin calc/mine

  and read ${url}/physics/heat/-/merge_requests
  or ask why it stands as it stands:
    node src/cli/compops.mjs why calc/mine --config ${configFile}

  ${dim('Ctrl-C ends the demo and removes what it made.')}
`)
    },
    close() {
      if (live) out.write('\x1b[0m')
    },
  }
}
