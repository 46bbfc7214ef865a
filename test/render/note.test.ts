import MarkdownIt from 'markdown-it'
import { describe, expect, test } from 'vitest'
import { maxNote, type NoteView, noteMarker, renderNote } from '../../src/render/note.ts'
import { hostileTexts } from './hostile.ts'
import {
  accounting,
  at,
  attempt,
  collected,
  comparisons,
  completed,
  history,
  job,
  neighbours,
  options,
  run,
  running,
  spec,
  sweep,
} from './sample.ts'

const mergeRequest = { projectId: 4217, iid: 7 }
const markdown = new MarkdownIt({ html: true })
const base = { ...options, mergeRequest }
const evidenceUrl = 'https://gitlab.example.org/physics/heat/-/blob/compops/evidence/README.md'

/** Written out once, looked at in a browser, compared from then on. */
const expected = (name: string) => `./expected/${name}.md`

describe('whole notes', () => {
  test('running, one job failed, the cluster away', async () => {
    const text = renderNote({
      ...base,
      ...neighbours,
      run: running,
      at: at('15:34:30'),
      history,
      evidenceUrl,
      commands: true,
      clustersAway: [{ name: 'falcon', since: at('15:20:00'), why: 'connection refused' }],
    })
    await expect(text).toMatchFileSnapshot(expected('note-running'))
  })

  test('completed, compared with the parent and the target', async () => {
    const text = renderNote({
      ...base,
      ...neighbours,
      run: completed,
      at: at('15:34:31'),
      comparisons,
      history,
      evidenceUrl,
    })
    await expect(text).toMatchFileSnapshot(expected('note-completed'))
  })

  test('a wrong file', async () => {
    const specText =
      'cluster: falcon\n\njobs:\n  mesh:\n    script: [make mesh]\n  simulate:\n    cpus_per_taks: 4\n    time: "04:00:00"\n    script: [make]\n'
    const problems = [
      {
        path: 'jobs.simulate.cpus_per_taks',
        line: 7,
        column: 5,
        message: '`cpus_per_taks` is not a key of a job.',
        remedy: 'Did you mean `cpus_per_task`?',
      },
      { path: '', line: null, column: null, message: 'There are 201 jobs, at most 200 are allowed.', remedy: null },
    ]
    const text = renderNote({
      ...base,
      run: run([], { problem: 'wrong', spec: { sha256: 'x', problems } }),
      at: at('14:25:02'),
      specText,
    })
    await expect(text).toMatchFileSnapshot(expected('note-wrong-file'))
  })
})

const lineOf = (text: string, start: string) => text.split('\n').find(line => line.startsWith(start)) ?? ''
const noteOf = (
  of: Parameters<typeof run>[0],
  more: Partial<Parameters<typeof run>[1]> = {},
  view: Partial<NoteView> = {},
) => renderNote({ ...base, run: run(of, more), at: at('15:00:00'), ...view })

describe('lineage', () => {
  const parent = {
    branch: 'calc/heat',
    why: 'target of merge request !7',
    sha: '62a2ce6f0011223344556677889900aabbccddee',
  }
  test('whose child it is, why, and from which commit of it', () => {
    expect(noteOf([job('a', 'completed')], { parent })).toContain(
      '\n\nChild of `calc/heat` (target of merge request \\!7), computed from it at `62a2ce6f`.\n\n',
    )
    expect(noteOf([job('a', 'completed')], { parent: null })).not.toContain('Child of')
  })

  test('what made it stale', () => {
    const staleBy = { branch: 'calc/base', sha: '7f3e2c1a99887766554433221100ffeeddccbbaa' }
    const text = noteOf([job('a', 'completed')], { parent }, { stale: true, staleBy })
    expect(text).toContain(
      '\n\n> **Stale: `calc/base` has a newer result, at `7f3e2c1a`, than the one this was computed from.**\n\n',
    )
    expect(noteOf([job('a', 'completed')], { parent }, { stale: false })).not.toContain('Stale')
  })
})

describe('metrics beside those of the parent and the target', () => {
  const change = (value: number, others: readonly (number | null)[], better?: 'lower' | 'higher', noise?: number) => {
    const wishes = {
      ...(better === undefined ? {} : { better: { x: better } }),
      ...(noise === undefined ? {} : { noise }),
    }
    const solve = job('solve', 'completed', {
      spec: spec('solve', {}, wishes),
      attempts: [attempt({ collected: collected({ metrics: { x: value } }) })],
    })
    const comparisons = others.map((other, i) => ({
      ...{ branch: ['calc/heat', 'main'][i]!, isParent: i === 0, wallSeconds: null },
      metrics: other === null ? {} : { x: other },
    }))
    return lineOf(noteOf([solve], {}, { comparisons }), '| x ')
      .split(' | ')
      .at(-1)!
      .replace(/ \|$/, '')
  }
  test.each([
    ['no wish', change(12, [10]), '20 % higher'],
    ['a wish', change(12, [10], 'higher'), 'better by 20 %'],
    ['a wish that is not met', change(12, [10], 'lower'), '**worse by 20 %**'],
    ['within the noise', change(10.05, [10], 'lower', 0.01), 'noise (0.5 %)'],
    ['just beyond it', change(10.2, [10], 'lower', 0.01), '**worse by 2 %**'],
    ['the same', change(10, [10], 'lower'), 'same'],
    ['both, alike', change(8, [10, 16], 'lower'), 'better by 20 %, than `main` by 50 %'],
    ['both, not alike', change(12, [10, 16], 'lower'), '**worse by 20 %**, better than `main` by 25 %'],
    ['as the target', change(8, [10, 8], 'lower', 0.01), 'better by 20 %, as `main`'],
    ['only the target knows it', change(8, [null, 16], 'lower'), 'better by 50 %'],
    ['nobody knows it', change(8, [null], 'lower'), 'new'],
    ['from nothing', change(8, [0], 'lower'), '–'],
  ])('%s', (_, cell, expected) => expect(cell).toBe(expected))
})

describe('the verdict', () => {
  const failedWith = (reason: 'exit' | 'node', exitCode: number) =>
    job('solve', 'failed', {
      reason,
      attempts: [attempt({ exitCode, startedAt: at('14:30:00'), endedAt: at('14:31:00') })],
    })
  test.each([
    ['one job running', [job('solve', 'running')], '**◐ solve is running**'],
    ['all queued', [job('a', 'queued'), job('b', 'waiting')], '**○ queued · 0 of 2 jobs done**'],
    [
      'held',
      [job('a', 'held', { message: 'needs the approval of a Maintainer' })],
      '**‖ held: needs the approval of a Maintainer**',
    ],
    ['one failed, others run', [failedWith('exit', 1), job('b', 'running')], '**◐ 1 of 2 jobs done, 1 failed**'],
    ['one failed', [failedWith('exit', 127), job('b', 'completed')], '**✕ solve failed: exit 127: command not found**'],
    ['two failed', [failedWith('exit', 1), failedWith('exit', 2)], '**✕ 2 of 2 jobs failed**'],
    ['the cluster', [failedWith('node', 0)], '**⊘ solve not finished by the cluster: node failure**'],
    ['one completed', [job('solve', 'completed')], '**● solve completed**'],
    [
      'canceled',
      [job('a', 'canceled', { message: 'superseded by a newer push' })],
      '**⊘ 1 job canceled: superseded by a newer push**',
    ],
    ['nothing', [], '**✕ nothing was run**'],
  ])('%s', (_, jobs, start) => {
    expect(lineOf(noteOf(jobs), '**').startsWith(start)).toBe(true)
  })

  test('why there are no jobs', () => {
    const text = noteOf([], { problem: 'submodule `lib/mesh` cannot be fetched from https://x.example' })
    expect(text).toContain('\n\nsubmodule `lib/mesh` cannot be fetched from https://x.example\n\n')
  })

  test('a newer push', () => {
    const text = noteOf([job('a', 'running')], { supersededBy: '0190f3c2-7d00-7abc-8def-ffffffffffff' })
    expect(text).toContain(
      'A newer push took over: [its run](https://compops.example.org/runs/0190f3c2-7d00-7abc-8def-ffffffffffff).',
    )
  })
})

describe('what to try', () => {
  const failed = (reason: 'exit' | 'memory' | 'timeout' | 'node', exitCode: number, resources = {}, more = {}) =>
    job('x', 'failed', { reason, spec: spec('x', resources), attempts: [attempt({ exitCode, ...more })] })
  test.each([
    ['memory', failed('memory', 137, { mem: 2048 }), '**Try:** `mem: 3G` (asked 2 G)'],
    ['memory per CPU', failed('memory', 137, { mem_per_cpu: 500 }), '**Try:** `mem_per_cpu: 1G` (asked 500 M)'],
    [
      'memory, seen',
      failed('memory', 137, { mem: 1024 }, { accounting: accounting({ maxRss: 1.9 * 1024 ** 3 }) }),
      '**Try:** `mem: 1536M` (asked 1 G; its largest task was seen at 1.9 G)',
    ],
    ['time', failed('timeout', 143, { time: 3600 }), '**Try:** `time: "02:00:00"` (asked 1 h), or write checkpoints'],
    ['127', failed('exit', 127), '**Try:** load its module in `setup`, or check the spelling of the command'],
    ['126', failed('exit', 126), '**Try:** `chmod +x` the file and commit it, or call it with its interpreter'],
    ['124', failed('exit', 124), '**Try:** a longer limit for the `timeout`'],
    ['node', failed('node', 0), '**Try:** push again: the cluster did not finish it, the commit is not to blame'],
  ])('%s', (_, each, text) => {
    expect(noteOf([each])).toContain(text)
  })

  test.each([
    ["./run.sh: line 2: $'\\r': command not found", 127, 'Unix line ends'],
    ['bash: ./run.sh: /bin/bash^M: bad interpreter: No such file or directory', 126, 'Unix line ends'],
    ['cp: error writing: Disk quota exceeded', 1, 'make room'],
    ['Lmod has detected the following error: The following module(s) are unknown: "gcc/99"', 1, '`module avail`'],
    ['./a.out: error while loading shared libraries: libmpi.so.40', 127, 'load the modules it was built with'],
    ["ModuleNotFoundError: No module named 'numpy'", 1, '`template: python`'],
    ['torch.OutOfMemoryError: CUDA out of memory. Tried to', 1, 'a smaller batch'],
    ["terminate called after throwing an instance of 'std::bad_alloc'", 134, 'ask for more `mem`'],
    ['bash: ./run.sh: Permission denied', 126, '`chmod +x`'],
  ] as const)('what the last lines say counts for more than a code: %s', (line, code, text) => {
    const more = { collected: collected({ logTail: `$ ./run.sh\n${line}\n`, logSize: 99 }) }
    expect(noteOf([failed('exit', code, {}, more)])).toContain(text)
  })

  test('commands are named where there are commands', () => {
    expect(noteOf([failed('node', 0)], {}, { commands: true })).toContain('**Try:** `/compops rerun`: the cluster')
    expect(noteOf([failed('node', 0)])).not.toContain('`/compops')
  })
})

describe('whatever comes in', () => {
  const hostileView = (text: string): NoteView => {
    const each = job(text, 'failed', {
      reason: 'exit',
      message: text,
      cluster: text,
      spec: spec(text, { gpus: { type: text, count: 2 } }, { needs: [text] }),
      attempts: [
        attempt({
          nativeId: text,
          exitCode: 1,
          startedAt: at('14:30:00'),
          endedAt: at('14:31:00'),
          collected: collected({ logTail: `${text}\n`.repeat(30), metrics: { [text]: 1 }, metricsProblem: text }),
        }),
      ],
    })
    const waits = job('waits', 'waiting', { spec: spec('waits', {}, { needs: [text] }) })
    return {
      ...base,
      at: at('15:00:00'),
      run: run([each, waits, sweep], {
        branch: text,
        sha: text,
        causedHow: text,
        problem: null,
        supersededBy: text,
        spec: { sha256: text, problems: [] },
      }),
      parent: { branch: text, state: 'failed', stale: true },
      children: [{ branch: text, state: null, stale: false }],
      comparisons: [{ branch: text, isParent: true, metrics: { [text]: 2 }, wallSeconds: 1 }],
      clustersAway: [{ name: text, since: at('14:00:00'), why: text }],
      history: [{ id: text, sha: text, state: 'failed', words: text, createdAt: at('10:00:00'), endedAt: null }],
      specText: text,
      commands: true,
      evidenceUrl,
    }
  }
  const wrongFile = (text: string): NoteView => {
    const view = hostileView(text)
    const problems = [1, 2, 3, null].map(line => ({ path: text, line, column: 1, message: text, remedy: text }))
    return {
      ...view,
      run: run([], { problem: text, spec: { sha256: 'x', problems } }),
      specText: `${text}\n${text}\n${text}`,
    }
  }

  test.each(hostileTexts)('%j', text => {
    for (const view of [hostileView(text), wrongFile(text)]) {
      const note = renderNote(view)
      expect(note.length).toBeLessThan(maxNote)
      expect(note.startsWith(`${noteMarker(mergeRequest)}\n\n**`)).toBe(true)
      expect(note.match(/<!--/g)).toHaveLength(1)
      expectHarmless(note)
    }
  })

  /** As GitLab reads it: actions first, then Markdown, then mentions outside code. */
  function expectHarmless(note: string) {
    expect(note).not.toMatch(/^\s*\/[a-z_]+(\s|$)/im)
    const tokens = markdown.parse(note, {})
    const mermaid = tokens.filter(token => token.type === 'fence' && token.info === 'mermaid')
    expect(mermaid.reduce((sum, token) => sum + token.content.length, 0)).toBeLessThan(2000)
    for (const token of tokens) {
      if (token.type === 'html_block')
        expect(token.content).toMatch(
          /^(<!-- compops:tree [^<>]*-->|<details><summary>(<b>[^<>]*<\/b>: )?[^<>]*<\/summary>|<\/details>)\n*$/,
        )
      for (const part of token.children ?? []) {
        expect(['html_inline', 'image', 'em', 's_open']).not.toContain(part.type)
        if (part.type === 'text') expect(part.content).not.toMatch(/@\w/)
        if (part.type === 'link_open')
          expect(String(part.attrGet('href'))).toMatch(/^https:\/\/(compops|gitlab)\.example\.org\//)
      }
    }
    for (const [table] of note.matchAll(/^\|.*(?:\n\|.*)+/gm)) {
      const columns = table.split('\n').map(row => row.replaceAll(/\\[\\|]/g, '').split('|').length)
      expect(new Set(columns).size).toBe(1)
    }
  }

  test('two hundred jobs that failed with long logs', () => {
    const jobs = Array.from({ length: 200 }, (_, i) =>
      job(`job-${i}-${'n'.repeat(55)}`, i % 2 === 0 ? 'failed' : 'completed', {
        message: 'm'.repeat(5000),
        reason: i % 2 === 0 ? 'exit' : null,
        attempts: [
          attempt({
            exitCode: 1,
            nativeId: `${i}`,
            collected: collected({ logTail: `${'l'.repeat(2000)}\n`.repeat(100), metrics: { [`metric ${i}`]: i } }),
          }),
        ],
      }),
    )
    const note = noteOf(jobs)
    expect(note.length).toBeLessThan(maxNote)
    expect(note).toContain('more jobs](')
    expect(note).toContain('more failed jobs](')
    expect(note).toContain('more metrics](')
    expectHarmless(note)
  })
})

test('the same facts give the same note', () => {
  const view = { ...base, ...neighbours, run: running, at: at('15:34:30'), history }
  expect(renderNote(view)).toBe(renderNote(structuredClone(view)))
})
