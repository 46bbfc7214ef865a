/** The one stylesheet. Colours are named once and turned over for a dark room. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --bg: #ffffff; --panel: #f8f8fa; --raised: #ffffff; --line: #e4e4e9; --strong: #cfcfd8;
  --text: #1f1e24; --muted: #6a6975; --link: #1f5fbf; --hover: #f1f1f5;
  --ok: #1a7f4b; --ok-bg: #e4f4ea; --run: #1f6fd0; --run-bg: #e3effc; --wait: #9a5b00; --wait-bg: #fdf1dc;
  --bad: #c0272d; --bad-bg: #fde8e7; --gone: #6f6e78; --gone-bg: #ececf0; --merged: #5b3fb8; --merged-bg: #ece7fb;
  --code: #f4f4f7; --key: #1f5fbf; --string: #1a7f4b; --number: #9a5b00; --word: #8a3ab0; --comment: #85848f;
  --added: #e4f4ea; --removed: #fde8e7;
  --mono: ui-monospace, "SF Mono", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #17161b; --panel: #1d1c22; --raised: #201f26; --line: #302f38; --strong: #45444f;
    --text: #ececf1; --muted: #a3a2ae; --link: #8cb6f7; --hover: #26252d;
    --ok: #5fca92; --ok-bg: #17301f; --run: #7db4f5; --run-bg: #16293f; --wait: #e3ab57; --wait-bg: #35280f;
    --bad: #f28b82; --bad-bg: #3b1c1c; --gone: #a3a2ae; --gone-bg: #2b2a32; --merged: #b9a5f5; --merged-bg: #2a2145;
    --code: #2a2833; --key: #8cb6f7; --string: #7fce9f; --number: #e3ab57; --word: #cf9cee; --comment: #85848f;
    --added: #14301e; --removed: #3b1c1c;
  }
}
* { box-sizing: border-box; }
html { scrollbar-gutter: stable; }
body {
  margin: 0; background: var(--bg); color: var(--text);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  -webkit-font-smoothing: antialiased; overflow-wrap: anywhere;
}
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; text-underline-offset: 2px; }
code, kbd, samp, pre, .mono { font-family: var(--mono); font-size: .86em; }
h1, h2, h3 { line-height: 1.25; font-weight: 620; letter-spacing: -.011em; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.08rem; margin: 2.2rem 0 .8rem; }
.muted { color: var(--muted); } .small { font-size: .86rem; } .nowrap { white-space: nowrap; }
.top { display: flex; align-items: center; gap: .55rem; padding: .6rem 1.5rem; border-bottom: 1px solid var(--line); background: var(--panel); font-size: .92rem; }
.top .logo { display: inline-flex; width: 22px; height: 22px; color: #e2592b; flex: none; }
.top { white-space: nowrap; overflow-x: auto; } .top .sep { color: var(--strong); } .top .here { font-weight: 600; color: var(--text); }
.top .grow { flex: 1; }
.tag { display: inline-block; padding: 0 .5em; border: 1px solid var(--line); border-radius: 1em; color: var(--muted); font-size: .78rem; line-height: 1.6; white-space: nowrap; }
.shell { max-width: 76rem; margin: 0 auto; padding: 1.6rem 1.5rem 4rem; }
.title { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem .8rem; }
nav.tabs { display: flex; gap: 1.4rem; border-bottom: 1px solid var(--line); margin: 1.1rem 0 1.6rem; overflow-x: auto; overflow-y: hidden; }
nav.tabs a { padding: .45rem 0 .55rem; color: var(--muted); border-bottom: 2px solid transparent; margin-bottom: -1px; white-space: nowrap; }
nav.tabs a:hover { color: var(--text); text-decoration: none; border-color: var(--strong); }
nav.tabs a.on { color: var(--text); border-color: #e2592b; font-weight: 600; }
nav.tabs .count { color: var(--muted); font-weight: 400; font-size: .82rem; margin-left: .25em; }
.columns { display: grid; grid-template-columns: minmax(0, 1fr) 13rem; gap: 2.4rem; align-items: start; }
@media (max-width: 60rem) { .columns { grid-template-columns: minmax(0, 1fr); } }
aside dl { margin: 0; font-size: .9rem; } aside dt { color: var(--muted); font-size: .8rem; margin-top: 1rem; } aside dt:first-child { margin-top: 0; } aside dd { margin: .1rem 0 0; }
.card { border: 1px solid var(--line); border-radius: 8px; background: var(--raised); }
.card > .head .grow { flex: 1; } .card > .head { padding: .6rem 1rem; border-bottom: 1px solid var(--line); background: var(--panel); border-radius: 8px 8px 0 0; display: flex; flex-wrap: wrap; gap: .3rem .7rem; align-items: center; }
.card > .head:last-child { border-bottom: 0; border-radius: 8px; }
.rows { list-style: none; margin: 0; padding: 0; }
.rows > li { padding: .6rem 1rem; border-top: 1px solid var(--line); display: flex; gap: .3rem .8rem; align-items: center; }
.rows > li:first-child { border-top: 0; }
.rows > li .main { flex: 1; min-width: 0; } .rows > li .line { display: block; }
.empty { padding: 2rem 1rem; text-align: center; color: var(--muted); }
table.list { width: 100%; border-collapse: collapse; font-size: .94rem; }
table.list td { padding: .42rem .9rem; border-top: 1px solid var(--line); vertical-align: top; } table.list tr:first-child td { border-top: 0; }
table.list td:first-child { white-space: nowrap; } table.list tr:hover td { background: var(--hover); }
.icon { width: 16px; height: 16px; flex: none; vertical-align: -3px; }
.st { display: inline-flex; align-items: center; gap: .4em; white-space: nowrap; }
.st-success { color: var(--ok); } .st-running { color: var(--run); } .st-pending, .st-created { color: var(--wait); }
.st-failed { color: var(--bad); } .st-canceled, .st-skipped { color: var(--gone); }
.st-running .turn { transform-origin: 8px 8px; animation: turn 2.4s linear infinite; }
@keyframes turn { to { transform: rotate(360deg); } }
@media (prefers-reduced-motion: reduce) { .st-running .turn { animation: none; } }
.pill { display: inline-flex; align-items: center; gap: .4em; padding: .08rem .65rem .1rem .5rem; border-radius: 1em; font-size: .84rem; font-weight: 560; white-space: nowrap; }
.pill-success, .pill-opened { background: var(--ok-bg); color: var(--ok); } .pill-running { background: var(--run-bg); color: var(--run); }
.pill-pending, .pill-created { background: var(--wait-bg); color: var(--wait); } .pill-failed, .pill-closed { background: var(--bad-bg); color: var(--bad); }
.pill-canceled, .pill-skipped { background: var(--gone-bg); color: var(--gone); } .pill-merged { background: var(--merged-bg); color: var(--merged); }
.ref { font-family: var(--mono); font-size: .84em; background: var(--code); border-radius: 4px; padding: .08em .4em; color: inherit; }
.widget { margin: 1.2rem 0; } .widget .stage { padding: .55rem 1rem .2rem; font-size: .78rem; color: var(--muted); }
.jobs { list-style: none; margin: 0; padding: 0 1rem .5rem; display: grid; grid-template-columns: 16px max-content minmax(0, 1fr) auto; column-gap: .65rem; }
.jobs li { display: grid; grid-column: 1 / -1; grid-template-columns: subgrid; padding: .28rem 0; align-items: baseline; }
.jobs li .name { max-width: 20rem; }
@media (max-width: 40rem) { .jobs { grid-template-columns: 16px minmax(0, 1fr) auto; } .jobs li .said { grid-column: 2 / 3; grid-row: 2; } }
.jobs li .icon { align-self: center; } .jobs li .name { font-weight: 560; } .jobs li .said { color: var(--muted); font-size: .92rem; }
.retried { opacity: .55; }
.avatar { display: inline-grid; place-items: center; border-radius: 50%; color: #fff; font-weight: 600; flex: none; text-transform: uppercase; line-height: 1; }
.notes { list-style: none; margin: 1.6rem 0 0; padding: 0; position: relative; }
.notes > li { display: grid; grid-template-columns: 32px minmax(0, 1fr); gap: .8rem; margin-bottom: 1rem; }
.notes .card > .head .grow { flex: 1; } .card > .head { font-size: .9rem; } .notes .body { padding: .9rem 1rem; }
.notes .system { color: var(--muted); font-size: .9rem; align-items: center; } .notes .system .dot { width: 9px; height: 9px; border-radius: 50%; background: var(--strong); justify-self: center; }
.awards { display: flex; gap: .4rem; padding: 0 1rem .8rem; } .awards span { border: 1px solid var(--line); border-radius: 1em; padding: 0 .6em; font-size: .86rem; background: var(--panel); }
form.comment { margin-top: 1.4rem; padding: .9rem 1rem 1rem; } form.comment textarea { width: 100%; min-height: 6.5rem; padding: .6rem .7rem; border: 1px solid var(--strong); border-radius: 6px; background: var(--bg); color: inherit; font: inherit; resize: vertical; }
form.comment .foot { display: flex; gap: .8rem; align-items: center; margin-top: .7rem; flex-wrap: wrap; }
select, button { font: inherit; padding: .32rem .75rem; border-radius: 6px; border: 1px solid var(--strong); background: var(--raised); color: inherit; }
button { background: var(--run); border-color: var(--run); color: #fff; font-weight: 560; cursor: pointer; } button:hover { filter: brightness(1.08); }
@media (prefers-color-scheme: dark) { button { color: #10131a; } }
:focus-visible { outline: 2px solid var(--run); outline-offset: 2px; }
.clone { display: flex; gap: .6rem; align-items: center; padding: .5rem .8rem; font-family: var(--mono); font-size: .82rem; overflow-x: auto; white-space: nowrap; }
.source { overflow-x: auto; } .source table { border-collapse: collapse; font-family: var(--mono); font-size: .82rem; line-height: 1.6; width: 100%; }
.source td { padding: 0 1rem 0 .8rem; white-space: pre; } .source .no { color: var(--comment); text-align: right; width: 1%; user-select: none; padding: 0 .2rem 0 1rem; border-right: 1px solid var(--line); }
.source .no a { color: inherit; } .source .no a::before { content: attr(data-n); } .source tr:target td { background: var(--wait-bg); } .source tr:first-child td { padding-top: .6rem; } .source tr:last-child td { padding-bottom: .6rem; }
.source .hl-added, .source .hl-removed { display: block; margin: 0 -1rem 0 -.8rem; padding: 0 1rem 0 .8rem; }
.hl-key { color: var(--key); } .hl-string { color: var(--string); } .hl-number { color: var(--number); } .hl-word { color: var(--word); } .hl-comment { color: var(--comment); } .hl-mark { color: var(--muted); }
.hl-added { background: var(--added); } .hl-removed { background: var(--removed); }
.md > :first-child { margin-top: 0; } .md > :last-child { margin-bottom: 0; }
.md p, .md ul, .md ol, .md table, .md blockquote, .md pre, .md details, .md figure { margin: .85rem 0; }
.md h1 { font-size: 1.5rem; margin: 1.6rem 0 .7rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); } .md h2 { font-size: 1.2rem; margin: 1.6rem 0 .6rem; } .md h3 { font-size: 1.02rem; margin: 1.3rem 0 .5rem; }
.md ul, .md ol { padding-left: 1.5rem; } .md li { margin: .15rem 0; } .md li.task-list-item { list-style: none; margin-left: -1.35rem; } .md li.task-list-item input { margin: 0 .5rem 0 0; vertical-align: -1px; }
.md code { background: var(--code); border-radius: 4px; padding: .12em .35em; } .md pre code { background: none; padding: 0; }
.md pre, pre.code { background: var(--code); border-radius: 6px; padding: .75rem .95rem; overflow-x: auto; font-size: .84rem; line-height: 1.55; overflow-wrap: normal; } .md pre code { font-size: inherit; }
.md table { border-collapse: collapse; display: block; overflow-x: auto; width: max-content; max-width: 100%; font-size: .9rem; overflow-wrap: normal; } .md th, .md td { border: 1px solid var(--line); padding: .34rem .75rem; } .md th { background: var(--panel); font-weight: 600; text-align: left; }
.md blockquote { border-left: 3px solid var(--strong); margin-left: 0; padding-left: 1rem; color: var(--muted); }
.md details { border: 1px solid var(--line); border-radius: 6px; padding: .45rem .9rem; } .md summary { cursor: pointer; font-weight: 560; } .md details[open] > summary { margin-bottom: .5rem; }
.md img { max-width: 100%; border-radius: 4px; } .md hr { border: 0; border-top: 1px solid var(--line); margin: 1.5rem 0; } .md kbd { border: 1px solid var(--strong); border-bottom-width: 2px; border-radius: 4px; padding: 0 .35em; }
.md .mention { color: var(--link); font-weight: 560; } .md .hint, .hint { color: var(--muted); font-size: .84rem; }
.md figure.diagram { overflow-x: auto; margin-left: 0; margin-right: 0; padding: .6rem 0; } svg.mermaid { max-width: 100%; height: auto; display: block; margin: 0 auto; }
svg.mermaid text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; text-anchor: middle; dominant-baseline: central; fill: var(--text); }
svg.mermaid .mm-node rect, svg.mermaid .mm-node polygon, svg.mermaid .mm-node circle, svg.mermaid .mm-node path, svg.mermaid .mm-node ellipse { fill: var(--panel); stroke: var(--strong); stroke-width: 1.2; }
svg.mermaid .mm-edge { fill: none; stroke: var(--muted); stroke-width: 1.3; } svg.mermaid .mm-dotted { stroke-dasharray: 4 4; } svg.mermaid .mm-thick { stroke-width: 2.6; }
svg.mermaid .mm-arrow { fill: var(--muted); } svg.mermaid .mm-back { fill: var(--raised); } svg.mermaid .mm-label text { font-size: 12px; fill: var(--muted); }
svg.mermaid .mm-group rect { fill: var(--panel); stroke: var(--line); } svg.mermaid .mm-group text { font-size: 12px; fill: var(--muted); }
footer { max-width: 76rem; margin: 0 auto; padding: 0 1.5rem 2rem; color: var(--muted); font-size: .8rem; }
`
