/**
 * Instructions of compiled filters beside libpcap's, over the expressions of the tests and every link type, and how long the steps of
 * compiling take. Without root; needs libpcap.
 *
 *   npm run bench:filter-size
 */
import type { FlowBlock } from '#src/filter/flow-graph.js'
import { generateFilter } from '#src/filter/generate.js'
import { linearise } from '#src/filter/linearise.js'
import { LINK_TYPES, type LinkType } from '#src/filter/link-type.js'
import type { NameTables } from '#src/filter/names.js'
import { optimise } from '#src/filter/optimise.js'
import { parseFilter } from '#src/filter/parser.js'
import { readNameTables } from '#src/host/name-tables.js'
import { EXPRESSIONS } from '../test/support/expressions.js'
import { openLibpcapCompiler } from '../test/support/libpcap-compiler.js'
import { CORPUS } from '../test/unit/filter/corpus.js'

const SNAP_LENGTH = 262144
const ROUNDS = 200

const EVERYDAY = [
  'ip',
  'tcp port 80',
  'host 10.0.0.1 and not port 22',
  'tcp[tcpflags] & tcp-syn != 0 and dst port 80',
  '(tcp port 80 or tcp port 443) and (host 10.0.0.1 or host 10.0.0.2)',
  'net 10.0.0.0/8 or net 172.16.0.0/12 or net 192.168.0.0/16',
  'vlan 100 and udp port 53',
]
const LONG: Record<string, string> = {
  '100 ports': Array.from({ length: 100 }, (_, i) => `port ${1000 + i}`).join(' or '),
  '300 hosts': Array.from({ length: 300 }, (_, i) => `host 10.0.${i >> 8}.${i & 255}`).join(' or '),
}

function graphOf(text: string, linkType: LinkType, names: NameTables): FlowBlock {
  return generateFilter(parseFilter(text), { linkType, snapLengthBytes: SNAP_LENGTH, names, netmask: 0 })
}

function column(width: number, ...cells: readonly (string | number)[]): string {
  return cells.map((cell) => String(cell).padStart(width)).join('')
}

const libpcap = openLibpcapCompiler()
if (libpcap === undefined) throw new Error('no libpcap to compare with')
const names = await readNameTables({ services: ['every'], protocols: ['every'], networks: ['every'], ethers: ['every'], hosts: [] })

console.log(`${'instructions'.padEnd(14)}${column(14, 'expressions', 'generated', 'optimised', 'libpcap', 'ratio')}`)
for (const linkType of Object.keys(LINK_TYPES) as LinkType[]) {
  let [count, generated, optimised, theirs] = [0, 0, 0, 0]
  for (const text of new Set([...CORPUS, ...EXPRESSIONS])) {
    const program = libpcap.compile(text, LINK_TYPES[linkType].dlt, true)
    if (typeof program === 'string') continue
    let graph: FlowBlock
    try {
      graph = graphOf(text, linkType, names)
    } catch {
      // It names a host.
      continue
    }
    count++
    generated += linearise(graph).length
    optimised += linearise(optimise(graph)).length
    theirs += program.length
  }
  console.log(`${linkType.padEnd(14)}${column(14, count, generated, optimised, theirs, (optimised / theirs).toFixed(3))}`)
}

function median(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b)
  return sorted[sorted.length >> 1].toFixed(3)
}

function time(rounds: number, step: () => void): string {
  const times = Array.from({ length: rounds }, () => {
    const start = performance.now()
    step()
    return performance.now() - start
  })
  return median(times)
}

console.log(`\n${'median ms'.padEnd(70)}${column(11, 'generate', 'optimise', 'linearise', 'libpcap')}`)
for (const [name, text, rounds] of [
  ...EVERYDAY.map((expression) => [expression, expression, ROUNDS] as const),
  ...Object.entries(LONG).map(([what, expression]) => [what, expression, 3] as const),
]) {
  const graph = graphOf(text, 'EN10MB', names)
  const optimised = optimise(graph)
  const cells = [
    time(rounds, () => graphOf(text, 'EN10MB', names)),
    time(rounds, () => optimise(graph)),
    time(rounds, () => linearise(optimised)),
    time(rounds, () => libpcap.compile(text, LINK_TYPES.EN10MB.dlt, true)),
  ]
  console.log(`${name.padEnd(70)}${column(11, ...cells)}`)
}
