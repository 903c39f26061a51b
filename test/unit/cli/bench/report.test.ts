import assert from 'node:assert/strict'
import { test } from 'node:test'
import { escapeText, html, Markup } from '#src/cli/bench/markup.js'
import { formatReport } from '#src/cli/bench/report.js'
import { sampleResult, sampleRung } from './sample.js'

test('html escapes what is not markup', () => {
  assert.equal(html`<p title="${'"'}">${'<b>&'} ${html`<i>${1}</i>`}${[html`a`, '<']}</p>`.text, '<p title="&quot;">&lt;b&gt;&amp; <i>1</i>a&lt;</p>')
  assert.equal(html`${new Markup('<br>')}`.text, '<br>')
  assert.equal(escapeText(`'"<>&`), '&#39;&quot;&lt;&gt;&amp;')
})

test('the page asks the network for nothing', () => {
  const page = formatReport(sampleResult())
  assert.ok(!/\b(?:src|href)=|url\(|@import|<script|https?:/.test(page))
})

test('text from outside is escaped wherever it stands', () => {
  const result = sampleResult()
  const evil = '<script>"x"</script>'
  result.machine.cpu = evil
  result.machine.kernel = evil
  result.machine.node = evil
  result.flood.kind = evil
  result.version = evil
  result.startedAt = evil
  const rung = sampleRung(evil, 1, 1)
  rung.profile = [{ percent: 1, symbol: evil, module: evil }]
  rung.runs[0].accounting.drops = { [evil]: 1 }
  result.rungs = [rung]
  const page = formatReport(result)
  assert.ok(!page.includes('<script'))
  assert.ok(page.includes('&lt;script&gt;'))
})

test('the page has every chart', () => {
  const page = formatReport(sampleResult())
  for (const title of [
    'Packets a second',
    'Load of each core',
    'CPU time a packet',
    'over time',
    'Where the kernel spends',
    'Every packet accounted',
    'Machine and method',
  ]) {
    assert.ok(page.includes(title), title)
  }
  assert.equal(page.match(/<polyline class="received"/g)?.length, 7)
})

test('the chart reaches to the line rate of 10G, marked on every bar; a bar beyond it moves the mark', () => {
  const widths = (page: string) => [...page.matchAll(/<i class="ours" style="width:([\d.]+)%" title="received [^"]*pps"/g)].map((match) => Number(match[1]))
  const result = sampleResult()
  const page = formatReport(result)
  assert.ok(page.includes('10G line rate, frames of minimum size: 14.88 Mpps'))
  // Seven rungs and six twins.
  assert.equal(page.match(/<span class="mark" style="right:0.00%">/g)?.length, 13)
  assert.ok(Math.abs(widths(page)[4] - (6_400_000 / 14_880_952) * 100) < 0.02)

  result.rungs[6].received = 4 * 14_880_952
  const beyond = formatReport(result)
  assert.equal(beyond.match(/<span class="mark" style="right:75.00%">/g)?.length, 13)
  assert.ok(beyond.includes('<span style="left:25.00%">10G line rate'))
  assert.equal(Math.max(...widths(beyond)), 100)
})

test('the best rung is one that captures', () => {
  const page = formatReport(sampleResult())
  assert.ok(page.includes('received with xdp, the best rung'))
  assert.ok(page.includes('no worker'))
  assert.ok(page.includes('goal: 14.9 Mpps'))
  const only = sampleResult()
  only.rungs = only.rungs.slice(6)
  assert.ok(formatReport(only).includes('received with kernel count, the best rung'))
})

test('what was not measured is not drawn', () => {
  const result = sampleResult()
  for (const rung of result.rungs) {
    delete rung.reference
    delete rung.profile
    for (const run of rung.runs) run.timeline = []
  }
  const page = formatReport(result)
  assert.ok(!page.includes('Where the kernel spends'))
  assert.ok(!page.includes('over time'))
  assert.ok(!page.includes('twin in C, received'))
  assert.ok(!/NaN|Infinity|undefined/.test(page))
})

test('a report of nothing is a page, and neither has numbers that are none', () => {
  assert.ok(formatReport({ ...sampleResult(), rungs: [], complete: false }).includes('No rung was completed'))
  const result = sampleResult()
  result.rungs = [sampleRung('recv', 0, 0)]
  for (const page of [formatReport(result), formatReport(sampleResult())]) assert.ok(!/NaN|Infinity|undefined/.test(page))
})

test('only places where something was lost have a column', () => {
  const page = formatReport(sampleResult())
  assert.ok(page.includes('Lost: socket'))
  assert.ok(!page.includes('Lost: ring'))
})
