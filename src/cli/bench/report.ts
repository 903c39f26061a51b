/** `--report`: one page that needs nothing but itself. Pure: a result in, HTML out. */
import { formatBytes, formatDecimal } from '../human.js'
import { html, Markup, NOTHING } from './markup.js'
import { REPORT_STYLE } from './report-style.js'
import type { Accounting, BenchResult, CoreLoad, RungResult, RunResult } from './result.js'
import { isCapture, LINE_RATE_10G, RUNGS } from './rungs.js'
import { share } from './statistics.js'
import { spreadText, unaccountedRungs } from './table.js'

export function formatReport(result: BenchResult): string {
  const { rungs } = result
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>ringtap: the ladder on ${result.machine.cpu}</title>
<style>${new Markup(REPORT_STYLE)}</style>
</head>
<body>
${heading(result)}
${rungs.length === 0 ? html`<p>No rung was completed.</p>` : [ladder(result), loads(rungs), costs(rungs), timelines(rungs), profiles(rungs), accounts(rungs)]}
${facts(result)}
</body>
</html>
`
  return page.text
}

function heading(result: BenchResult): Markup {
  const { rungs } = result
  const captures = rungs.filter((rung) => isCapture(rung.name))
  const compared = captures.length > 0 ? captures : rungs
  const first = compared.at(0)
  const best = compared.reduce<RungResult | undefined>((most, rung) => (most === undefined || rung.received > most.received ? rung : most), undefined)
  const lost = unaccountedRungs(result).reduce((total, rung) => total + rung.unaccounted, 0)
  const tiles: Markup[] = []
  if (best !== undefined) tiles.push(tile(formatDecimal(best.received, 'pps'), `received with ${best.name}, the best rung`))
  if (first !== undefined && best !== undefined && best !== first)
    tiles.push(tile(`${times(share(best.received, first.received))}`, `as many as with ${first.name}`))
  if (best?.reference !== undefined) tiles.push(tile(times(best.reference.ratio), `of its twin in C (${spreadText(best.reference)})`))
  if (rungs.length > 0) tiles.push(tile(count(lost), 'packets unaccounted for', lost > 0))
  return html`<header>
<h1>Packets from Linux, rung by rung</h1>
<p class="soft">ringtap ${result.version} · ${result.machine.cpu} · ${result.startedAt.slice(0, 10)}${result.complete ? '' : ' · ended early'}</p>
<div class="tiles">${tiles}</div>
</header>`
}

function tile(value: string, meaning: string, bad = false): Markup {
  return html`<div class="tile${bad ? ' bad' : ''}"><b>${value}</b><span class="soft">${meaning}</span></div>`
}

function ladder({ rungs }: BenchResult): Markup {
  const hasTwins = rungs.some((rung) => rung.reference !== undefined)
  // The scale reaches to the line rate at least: how far there is to go is part of the picture.
  const most = Math.max(LINE_RATE_10G, ...rungs.flatMap((rung) => [total(rung), rung.reference === undefined ? 0 : total(rung.reference)]))
  return html`<section>
<h2>Packets a second</h2>
<p class="soft">Up to xdp, each rung removes what held back the one above it. A bar is what the flood offered: received, and dropped where the receiver was too slow.</p>
${legend([['ours', 'ringtap, received'], ...(hasTwins ? ([['twin', 'its twin in C, received']] as const) : []), ['lost', 'dropped']])}
${markLabel(most)}
${rungs.map((rung) => ladderStep(rung, most))}
${articleTable(rungs)}
</section>`
}

/** Above the bars, on the side of the mark that has room. */
function markLabel(most: number): Markup {
  const at = share(LINE_RATE_10G, most)
  const side = at > 0.5 ? `right:${percent(1 - at, 2)}` : `left:${percent(at, 2)}`
  return html`<div class="row scale">
<span></span>
<div class="label"><span style="${side}">10G line rate, frames of minimum size: ${(LINE_RATE_10G / 1e6).toFixed(2)} Mpps</span></div>
<span></span>
</div>`
}

function total(of: { received: number; dropped: number }): number {
  return of.received + of.dropped
}

function ladderStep(rung: RungResult, most: number): Markup {
  const { reference } = rung
  const change = RUNGS.find((row) => row.name === rung.name)?.change
  const mark = html`<span class="mark" style="right:${percent(1 - share(LINE_RATE_10G, most), 2)}"></span>`
  const row = (name: string, kind: string, of: { received: number; dropped: number }, ratio: Markup) => html`<div class="row">
<span class="name">${name}</span>
<div class="bar">${segment(kind, share(of.received, most), `received ${formatDecimal(of.received, 'pps')}`)}${segment('lost', share(of.dropped, most), `dropped ${formatDecimal(of.dropped, 'pps')}`)}${mark}</div>
<span class="value"><b>${formatDecimal(of.received, 'pps')}</b>${ratio}</span>
</div>`
  const ratio = reference === undefined ? NOTHING : html` <span class="soft" title="median and spread of ours / C">${times(reference.ratio)} C</span>`
  return html`<div class="step">
<h3>${rung.name} <span class="soft">${workersText(rung.workers)}</span></h3>
${change === undefined ? NOTHING : html`<p class="soft">${change}</p>`}
${row('ringtap', 'ours', rung, ratio)}
${reference === undefined ? NOTHING : row('C', 'twin', reference, html` <span class="soft">${spreadText(reference)}</span>`)}
</div>`
}

function workersText(workers: number): string {
  return workers === 0 ? 'no worker' : workers === 1 ? '1 worker' : `${workers} workers`
}

function articleTable(rungs: readonly RungResult[]): Markup {
  const rows = RUNGS.map((row) => {
    const here = rungs.find((rung) => rung.name === row.name)
    const article = row.article === null ? '–' : `${row.article.isGoal ? 'goal: ' : ''}${formatDecimal(row.article.packetsPerSecond, 'pps')}`
    return html`<tr><td>${row.name}</td><td class="number">${article}</td><td class="number">${here === undefined ? '–' : formatDecimal(here.received, 'pps')}</td></tr>`
  })
  return html`<div class="wide"><table>
<tr><th>Rung</th><th class="number">The article, 2015</th><th class="number">This machine</th></tr>
${rows}
</table></div>
<p class="soft">For context, not for comparison: “Capturing Packets in Linux at a Speed of Millions of Packets per Second without Using Third Party Libraries” (Pavel Odintsov)
measured eight cores and a 10G card with traffic from outside; here the flood is made by the same cores that receive it. Its goal is what it hopes of a later kernel, and was not measured.</p>`
}

const LOAD_PARTS = ['user', 'system', 'softirq', 'steal', 'idle'] as const

function loads(rungs: readonly RungResult[]): Markup {
  const row = (name: string, core: CoreLoad) => html`<div class="row">
<span class="name">${name}</span>
<div class="bar thin">${LOAD_PARTS.map((part) => segment(part, core[part], `${part} ${percent(core[part])}`))}</div>
<span class="value soft">${percent(1 - core.idle)} busy</span>
</div>`
  return html`<section>
<h2>Load of each core</h2>
<p class="soft">While ringtap receives. The generator runs on these cores as well: its share is in system and softirq.</p>
${legend(LOAD_PARTS.map((part) => [part, part] as const))}
<div class="grid">${rungs.map((rung) => html`<figure><figcaption>${rung.name}</figcaption>${rung.cores.map((core) => row(`CPU ${core.cpu}`, core))}</figure>`)}</div>
</section>`
}

function costs(rungs: readonly RungResult[]): Markup {
  const cost = (of: { userNsPerPacket: number; systemNsPerPacket: number }) => of.userNsPerPacket + of.systemNsPerPacket
  const most = Math.max(...rungs.flatMap((rung) => [cost(rung), rung.reference === undefined ? 0 : cost(rung.reference)]))
  const row = (name: string, of: { userNsPerPacket: number; systemNsPerPacket: number }) => html`<div class="row">
<span class="name">${name}</span>
<div class="bar thin">${segment('user', share(of.userNsPerPacket, most), `user ${nanoseconds(of.userNsPerPacket)}`)}${segment('system', share(of.systemNsPerPacket, most), `system ${nanoseconds(of.systemNsPerPacket)}`)}</div>
<span class="value">${of.userNsPerPacket.toFixed(0)} + ${nanoseconds(of.systemNsPerPacket)}</span>
</div>`
  return html`<section>
<h2>CPU time a packet</h2>
<p class="soft">Of the receiving process alone, per packet received: user + system. What the kernel does before a packet reaches it is in the load above.</p>
${legend([
  ['user', 'user'],
  ['system', 'system'],
])}
${rungs.map((rung) => html`<div class="step"><h3>${rung.name}</h3>${row('ringtap', rung)}${rung.reference === undefined ? NOTHING : row('C', rung.reference)}</div>`)}
</section>`
}

function timelines(rungs: readonly RungResult[]): Markup {
  const drawn = rungs.map((rung) => ({ rung, run: typicalRun(rung) })).filter(({ run }) => run.timeline.length > 1)
  if (drawn.length === 0) return NOTHING
  const most = Math.max(...drawn.flatMap(({ run }) => run.timeline.flatMap((point) => [point.received, point.dropped])))
  return html`<section>
<h2>Received and dropped over time</h2>
<p class="soft">ringtap's median run on each rung; one scale for all.</p>
${legend([
  ['ours', 'received'],
  ['lost', 'dropped'],
])}
<div class="grid">${drawn.map(({ rung, run }) => plot(rung.name, run, most))}</div>
</section>`
}

/** The run whose rate is the median, or the lower of the middle two. */
function typicalRun(rung: RungResult): RunResult {
  const byRate = [...rung.runs].sort((a, b) => a.received / a.seconds - b.received / b.seconds)
  return byRate[(byRate.length - 1) >> 1]
}

function plot(name: string, run: RunResult, most: number): Markup {
  const x = (seconds: number) => ((seconds / run.seconds) * 100).toFixed(2)
  const y = (value: number) => (100 - share(value, most) * 96).toFixed(2)
  const line = (part: 'received' | 'dropped') => run.timeline.map((point) => `${x(point.seconds)},${y(point[part])}`).join(' ')
  const first = run.timeline[0]
  const last = run.timeline[run.timeline.length - 1]
  return html`<figure>
<figcaption>${name}</figcaption>
<div class="plot">
<div class="y"><span>${formatDecimal(most, '')}</span><span>0</span></div>
<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="${name}: received and dropped packets a second over time">
<polygon class="under" points="${x(first.seconds)},100 ${line('received')} ${x(last.seconds)},100"/>
<polyline class="received" points="${line('received')}"/>
<polyline class="dropped" points="${line('dropped')}"/>
</svg>
<div class="x"><span>0 s</span><span>${run.seconds.toFixed(1)} s</span></div>
</div>
</figure>`
}

function profiles(rungs: readonly RungResult[]): Markup {
  const drawn = rungs.filter((rung) => rung.profile !== undefined)
  if (drawn.length === 0) return NOTHING
  const row = ({ percent, symbol, module }: { percent: number; symbol: string; module: string }) =>
    html`<tr><td class="number">${percent.toFixed(1)} %</td><td><code>${symbol}</code>${module === 'kernel' ? NOTHING : html` <span class="soft">${module}</span>`}</td></tr>`
  return html`<section>
<h2>Where the kernel spends its time</h2>
<p class="soft">perf, all cores, in a run of its own: share of all samples, the generator's included.</p>
<div class="grid">${drawn.map((rung) => html`<figure><figcaption>${rung.name}</figcaption><table>${rung.profile?.map(row) ?? []}</table></figure>`)}</div>
</section>`
}

function accounts(rungs: readonly RungResult[]): Markup {
  const programs = rungs.flatMap((rung) => [
    ...rung.runs.map((run, index) => ({ rung: rung.name, program: 'ringtap', index, accounting: run.accounting })),
    ...(rung.reference?.runs ?? []).map((run, index) => ({ rung: rung.name, program: 'C', index, accounting: run.accounting })),
  ])
  const places = dropPlaces(programs.map(({ accounting }) => accounting))
  const row = ({
    rung,
    program,
    index,
    accounting,
  }: (typeof programs)[number]) => html`<tr${index === 0 && program === 'ringtap' ? new Markup(' class="first"') : NOTHING}>
<td>${rung}</td><td>${program} ${index + 1}</td><td class="number">${count(accounting.offered)}</td><td class="number">${count(accounting.received)}</td>
${places.map((place) => html`<td class="number">${count(accounting.drops[place] ?? 0)}</td>`)}<td class="number ${accounting.unaccounted === 0 ? 'good' : 'bad'}">${count(accounting.unaccounted)}</td></tr>`
  return html`<section>
<h2>Every packet accounted for</h2>
<p class="soft">Packets of each run, warm-up included. Offered is what the generator made; each packet is received or stands where it was lost.</p>
<div class="wide"><table>
<tr><th>Rung</th><th>Run</th><th class="number">Offered</th><th class="number">Received</th>${places.map((place) => html`<th class="number">Lost: ${place}</th>`)}<th class="number">Unaccounted</th></tr>
${programs.map(row)}
</table></div>
</section>`
}

/** Places where nothing was ever lost are left out. */
function dropPlaces(accountings: readonly Accounting[]): string[] {
  const places = new Set<string>()
  for (const { drops } of accountings) for (const [place, lost] of Object.entries(drops)) if (lost !== 0) places.add(place)
  return [...places]
}

function facts(result: BenchResult): Markup {
  const { machine, flood } = result
  const runs =
    result.alternations === 1
      ? 'one run a rung'
      : `${result.alternations} runs of each program, taking turns; figures are medians, ratios medians over the pairs`
  const rows: [string, string][] = [
    ['Processor', `${machine.cpu}, ${machine.cores === 1 ? '1 core' : `${machine.cores} cores`}${machine.virtual ? ', virtual machine' : ''}`],
    ['Memory', formatBytes(machine.memoryBytes)],
    ['Kernel', `Linux ${machine.kernel}`],
    ['Node.js', machine.node],
    ['Flood', `${flood.kind}, frames of ${result.frameBytes} bytes without FCS, made in the kernel on CPU ${flood.cpus.join(', ')}`],
    ['Runs', `${result.seconds} s each after a warm-up of ${result.warmupSeconds} s; ${runs}`],
    ['Started', result.startedAt],
  ]
  return html`<section>
<h2>Machine and method</h2>
<div class="wide"><table class="facts">${rows.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`)}</table></div>
<p class="soft" style="margin-top:0.75rem">A veth pair between two network namespaces; its generator shares the cores with the receiver, so a cheaper receiver also leaves more room to the flood.
No network card is involved. The same bench measures ringtap and its twin in C from outside, by the same clocks and counters.</p>
</section>`
}

function legend(entries: readonly (readonly [kind: string, name: string])[]): Markup {
  return html`<ul class="legend">${entries.map(([kind, name]) => html`<li><span class="swatch ${kind}"></span>${name}</li>`)}</ul>`
}

function segment(kind: string, part: number, title: string): Markup {
  return part > 0 ? html`<i class="${kind}" style="width:${percent(part, 2)}" title="${title}"></i>` : NOTHING
}

function percent(part: number, digits = 0): string {
  return digits === 0 ? `${(part * 100).toFixed(0)} %` : `${(part * 100).toFixed(digits)}%`
}

function times(factor: number): string {
  return `${factor >= 9.995 ? factor.toFixed(1) : factor.toFixed(2)} ×`
}

function nanoseconds(ns: number): string {
  return `${ns.toFixed(0)} ns`
}

function count(packets: number): string {
  return packets.toLocaleString('en-US')
}
