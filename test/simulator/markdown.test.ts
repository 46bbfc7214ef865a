import { describe, expect, it } from 'vitest'
import { highlightLines } from '../../src/simulator/highlight.ts'
import type { MarkdownContext } from '../../src/simulator/markdown.ts'
import { renderMarkdown } from '../../src/simulator/markdown.ts'
import { drawMermaid } from '../../src/simulator/mermaid.ts'
import { parseGraph } from '../../src/simulator/mermaid-parse.ts'

const context: MarkdownContext = {
  mermaidLimited: true,
  resolve: (address, kind) => `/p/-/${kind}/${address}`,
  mergeRequest: iid => (iid === 1 ? '/p/-/merge_requests/1' : null),
  isUser: name => name === 'alice',
}
const render = (text: string, more: Partial<MarkdownContext> = {}) =>
  renderMarkdown(text, { ...context, ...more }).trim()

describe('Markdown', () => {
  it.each([
    ['**b** `c` ~~d~~', '<p><strong>b</strong> <code>c</code> <s>d</s></p>'],
    [
      '@alice and @mallory, !1, !2',
      '<p><span class="mention">@alice</span> and @mallory, <a href="/p/-/merge_requests/1" rel="nofollow noreferrer noopener">!1</a>, !2</p>',
    ],
    ['a :tada: b :unknown:', '<p>a 🎉 b :unknown:</p>'],
    ['`@alice !1`', '<p><code>@alice !1</code></p>'],
    [
      '[x](docs/a.md) ![y](/uploads/1/a.png)',
      '<p><a href="/p/-/link/docs/a.md" rel="nofollow noreferrer noopener">x</a> <img src="/p/-/image//uploads/1/a.png" alt="y"></p>',
    ],
    ['# A  title!', '<h1 id="user-content-a-title">A  title!</h1>'],
    ['<!-- compops:tree 7 -->\nseen', '<p>seen</p>'],
    ['x <kbd>Esc</kbd> H<sub>2</sub>O', '<p>x <kbd>Esc</kbd> H<sub>2</sub>O</p>'],
    [
      '<details><summary>log</summary>\n\n**in**\n\n</details>',
      '<details><summary>log</summary>\n<p><strong>in</strong></p>\n</details>',
    ],
  ])('%j', (text, expected) => {
    expect(render(text)).toBe(expected)
  })

  it('draws task lists and tables', () => {
    expect(render('- [x] done\n- [ ] open')).toContain(
      '<li class="task-list-item"><input type="checkbox" disabled="" checked="">done</li>',
    )
    expect(render('| a | b |\n|---|--:|\n| 1 | 2 |')).toContain('<td style="text-align:right">2</td>')
  })
})

describe('what people write to break a page', () => {
  it.each([
    '<script>alert(1)</script>',
    '<SCRIPT SRC=x></SCRIPT >',
    '<img src=x onerror=alert(1)>',
    '<a href="javascript:alert(1)">x</a>',
    '<a href="jav&#x09;ascript:alert(1)">x</a>',
    '[x](javascript:alert(1))',
    '<svg onload=alert(1)>',
    '<math><mi//xlink:href="data:x,<script>alert(1)</script>">',
    '<iframe srcdoc="<script>alert(1)</script>">',
    '<div style="background:url(javascript:alert(1))">',
    '<details ontoggle=alert(1) open>',
    '<input type=text autofocus onfocus=alert(1)>',
    '<style>body{display:none}</style>',
    '<form action=/x><button>',
    '"><img src=x onerror=alert(1)>',
    '```mermaid\ngraph TD\n  a["<img src=x onerror=alert(1)>"] --> b["</svg><script>alert(1)</script>"]\n```',
    '```mermaid\ngraph TD\n  a\n  style a fill:red;}</style><script>alert(1)</script>\n```',
    '```"><script>alert(1)</script>\nx\n```',
    '![x](data:text/html;base64,PHNjcmlwdD4=)',
  ])('%j', text => {
    const tags = [...render(text).matchAll(/<(\/?[a-z][^\s>]*)([^>]*)>/gi)]
    for (const [, name = '', attributes = ''] of tags) {
      expect(name.toLowerCase()).not.toMatch(/^\/?(script|style|iframe|form|button|object|embed|math)$/)
      expect(attributes).not.toMatch(/\son\w+\s*=/i)
      expect(attributes).not.toMatch(/javascript:|data:|url\((?!#mm-arrow-\d+\))/i)
    }
  })

  it('leaves nothing open and closes nothing that is not its own', () => {
    expect(render('<details><div>\n\n</table></section></body>')).toBe('<details><div>\n</div></details>')
  })

  it('takes its time, but not more', () => {
    for (const text of [
      '<!--'.repeat(50_000),
      '<b>'.repeat(50_000),
      '<a '.repeat(50_000),
      '&#'.repeat(50_000),
      '<script>'.repeat(20_000),
    ]) {
      expect(renderMarkdown(text, context).length).toBeLessThan(1_000_000)
    }
  })
})

describe('Mermaid', () => {
  it('reads nodes, shapes, classes, edges and labels', () => {
    const graph = parseGraph(`%%{init: {"theme": "base"}}%%
flowchart LR
  a["calc/heat<br/>#quot;done#quot;"]:::done --> b(b) & c{{c}}
  b -. stale .-> d([d])
  b == "two words" ==> d
  c -->|yes| d; d --- e
  subgraph s["A group"]
    d
  end
  classDef done fill:#1a7f4b,stroke:#000,color:#fff,stroke-dasharray: 4 2
  class b,c done
  style e fill:#eee`)
    expect(graph?.direction).toBe('LR')
    expect([...(graph?.nodes.values() ?? [])].map(n => [n.id, n.lines, n.shape, n.style.fill])).toEqual([
      ['a', ['calc/heat', '"done"'], 'box', '#1a7f4b'],
      ['b', ['b'], 'round', '#1a7f4b'],
      ['c', ['c'], 'hexagon', '#1a7f4b'],
      ['d', ['d'], 'pill', undefined],
      ['e', ['e'], 'box', '#eee'],
    ])
    expect(graph?.edges.map(e => [e.from, e.to, e.line, e.label.join(), e.arrow])).toEqual([
      ['a', 'b', 'solid', '', true],
      ['a', 'c', 'solid', '', true],
      ['b', 'd', 'dotted', 'stale', true],
      ['b', 'd', 'thick', 'two words', true],
      ['c', 'd', 'solid', 'yes', true],
      ['d', 'e', 'solid', '', false],
    ])
    expect(graph?.subgraphs).toEqual([{ id: 's', title: 'A group', members: ['d'] }])
    expect(graph?.nodes.get('a')?.style.dash).toBe('4 2')
  })

  it('draws cycles, loops and chains of hundreds', () => {
    const chain = Array.from({ length: 300 }, (_, n) => `n${n} --> n${n + 1}`).join('\n')
    for (const body of ['a --> b --> a', 'a --> a', chain, 'a', '']) {
      const drawing = drawMermaid(`graph TD\n${body}`)
      if (body === '') expect(drawing).toBeNull()
      else expect(drawing).toMatch(/^<svg [\s\S]*<\/svg>$/)
      expect(drawing ?? '').not.toContain('NaN')
    }
  })

  it.each(['sequenceDiagram\n  A->>B: hi', 'graph TD\n  a[never closed', 'graph TD\n  a --> ', 'pie title x'])(
    'shows the source of %j',
    text => {
      expect(drawMermaid(text)).toBeNull()
      expect(render(`\`\`\`mermaid\n${text}\n\`\`\``)).toMatch(/^<pre class="code">/)
    },
  )

  it('in a comment, only 2,000 characters in all; in a file, any', () => {
    const graph = (n: number) => `\`\`\`mermaid\ngraph TD\n${'%% x\n'.repeat(n)}a --> b\n\`\`\`\n`
    expect(render(graph(100) + graph(100)).match(/<svg/g)).toHaveLength(2)
    expect(render(graph(300) + graph(300)).match(/<svg/g)).toHaveLength(1)
    expect(render(graph(500), { mermaidLimited: false })).toContain('<svg')
  })
})

describe('colouring', () => {
  it('leaves every character where it was', () => {
    const yaml = '# note\na: "x" # y\n- b: [1, two]\n  "q k": |\n    <b>&amp;\nurl: http://a/b#c\n---\n? odd\n\t: tab'
    for (const language of ['yaml', 'json', 'diff', 'sh', 'unknown']) {
      const plain = highlightLines(yaml, language)
        .join('\n')
        .replace(/<\/?span[^>]*>/g, '')
        .replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)))
      expect(plain).toBe(yaml)
    }
  })

  it('tells keys from values', () => {
    expect(highlightLines('time: "04:00:00"', 'yaml')).toEqual([
      '<span class="hl-key">time</span><span class="hl-mark">:</span> <span class="hl-string">&#34;04:00:00&#34;</span>',
    ])
  })
})
