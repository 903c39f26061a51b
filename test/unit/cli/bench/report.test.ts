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
  assert.equal(page.match(/<polyline class="received"/g)?.length, 4)
  assert.ok(page.includes('10G line rate'))
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
