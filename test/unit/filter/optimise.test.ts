/**
 * The optimiser: shorter programs than libpcap's, and the verdicts of the graph before. Those are compared packet by packet, with
 * packets that end anywhere; libpcap's own optimiser is not that strict, and where it differs is shown.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Instruction, validateProgram } from '#src/bpf/classic.js'
import { formatProgram } from '#src/bpf/classic-text.js'
import { type Ancillary, interpret } from '#src/bpf/interpret.js'
import { CaptureError } from '#src/errors.js'
import type { FlowBlock, FlowStatement } from '#src/filter/flow-graph.js'
import { type GenerateOptions, generateFilter } from '#src/filter/generate.js'
import { linearise } from '#src/filter/linearise.js'
import { LINK_TYPES, type LinkType } from '#src/filter/link-type.js'
import { optimise } from '#src/filter/optimise.js'
import { parseFilter } from '#src/filter/parser.js'
import {
  aFromX,
  compute,
  computeX,
  loadAbsolute,
  loadImmediate,
  loadIndirect,
  loadLength,
  loadMemory,
  loadXHeaderLength,
  loadXImmediate,
  loadXMemory,
  store,
  storeX,
  xFromA,
} from '#src/filter/statements.js'
import { readNameTables } from '#src/host/name-tables.js'
import { EXPRESSIONS } from '../../support/expressions.js'
import { randomFrame } from '../../support/filter-packets.js'
import { graphOf, type Machine, verdictOf } from '../../support/flow-graph.js'
import { openLibpcapCompiler } from '../../support/libpcap-compiler.js'
import { packetsOf, withCuts } from '../../support/link-packets.js'
import { seededRandom } from '../../support/random.js'
import { randomFormula, randomGraph, randomPacket } from '../../support/random-graph.js'
import { firstDifference, IN_AND_OUT } from '../../support/verdicts.js'
import { CORPUS } from './corpus.js'

const ETHERNET = 1
const SNAP_LENGTH = 262144
const [ADD, SUB, MUL, DIV, AND, LSH, RSH] = [0x00, 0x10, 0x20, 0x30, 0x50, 0x60, 0x70]
const [JEQ, JGT, JGE, JSET, JEQ_X] = [0x15, 0x25, 0x35, 0x45, 0x1d]

const libpcap = openLibpcapCompiler()
const skip = libpcap === undefined ? 'no libpcap' : false

/** What libpcap makes of an expression without and with its optimiser; undefined where it refuses. */
function theirs(expression: string, dlt = ETHERNET): { plain: readonly Instruction[]; optimised: readonly Instruction[] } | undefined {
  const [plain, optimised] = [false, true].map((isOptimised) => libpcap?.compile(expression, dlt, isOptimised))
  return plain === undefined || optimised === undefined || typeof plain === 'string' || typeof optimised === 'string' ? undefined : { plain, optimised }
}

const programs = EXPRESSIONS.flatMap((expression) => {
  const compiled = theirs(expression)
  return compiled === undefined ? [] : [{ expression, ...compiled, graph: graphOf(compiled.plain) }]
})

/** Undefined for one that names a host, which is not looked up here. */
function graphFor(text: string, options: GenerateOptions): FlowBlock | undefined {
  try {
    return generateFilter(parseFilter(text), options)
  } catch (error) {
    if (error instanceof CaptureError && error.code === 'INVALID_FILTER') return undefined
    throw error
  }
}

function run(program: readonly Instruction[], packet: Uint8Array): number {
  return interpret(program, packet, 0, packet.length, packet.length)
}

class Sizes {
  ours = 0
  theirs = 0
  count = 0
  readonly worst: { by: number; expression: string }[] = []

  add(expression: string, ours: number, theirs: number): void {
    this.ours += ours
    this.theirs += theirs
    this.count++
    this.worst.push({ by: ours - theirs, expression })
  }

  toString(): string {
    const worst = this.worst
      .sort((a, b) => b.by - a.by)
      .slice(0, 3)
      .map(({ by, expression }) => `${expression.slice(0, 40)}: ${by}`)
    return `${this.count} expressions, ${this.ours} instructions, libpcap ${this.theirs}, ratio ${this.ratio.toFixed(3)}; ${worst.join('; ')}`
  }

  get ratio(): number {
    return this.ours / this.theirs
  }
}

test('what libpcap generates is as short as libpcap makes it', { skip }, (t) => {
  const sizes = new Sizes()
  for (const { expression, optimised, graph } of programs) {
    const program = linearise(optimise(graph))
    validateProgram(program)
    sizes.add(expression, program.length, optimised.length)
  }
  t.diagnostic(sizes.toString())
  assert.ok(sizes.count > 350)
  assert.ok(sizes.ratio <= 1, sizes.toString())
})

for (const linkType of Object.keys(LINK_TYPES) as LinkType[]) {
  test(`the corpus on ${linkType} is as short as libpcap makes it`, { skip }, async (t) => {
    const names = await readNameTables({ services: ['every'], protocols: ['every'], networks: ['every'], ethers: ['every'], hosts: [] })
    const sizes = new Sizes()
    for (const text of CORPUS) {
      const compiled = theirs(text, LINK_TYPES[linkType].dlt)
      if (compiled === undefined) continue
      const graph = graphFor(text, { linkType, snapLengthBytes: SNAP_LENGTH, names, netmask: 0 })
      if (graph === undefined) continue
      const program = linearise(optimise(graph))
      validateProgram(program)
      sizes.add(text, program.length, compiled.optimised.length)
    }
    t.diagnostic(sizes.toString())
    assert.ok(sizes.count > 250)
    assert.ok(sizes.ratio <= 1, sizes.toString())
  })
}

test('no expression has another verdict, for whole and for truncated packets', { skip }, (t) => {
  const random = seededRandom(t)
  const frames = Array.from({ length: 500 }, () => randomFrame(random))
  let accepted = 0
  let stricter = 0
  for (const { expression, plain, optimised, graph } of programs) {
    const ours = linearise(optimise(graph))
    for (const frame of frames) {
      const verdict = run(plain, frame)
      if (verdict !== 0) accepted++
      if (run(ours, frame) !== verdict) assert.fail(`${expression}: ${Buffer.from(frame).toString('hex')}`)
      if (run(optimised, frame) === verdict) continue
      // libpcap has dropped or moved a load that the packet is too short for.
      assert.equal(verdict, 0, expression)
      stricter++
    }
  }
  const pairs = programs.length * frames.length
  t.diagnostic(`${pairs} pairs, ${accepted} accepted, ${stricter} accepted by libpcap's optimised program alone`)
  assert.ok(accepted > 0.05 * pairs)
  assert.ok(stricter < 0.001 * pairs)
})

/** The kernel has taken a tag out of the bytes. */
const TAGGED: Ancillary = { packetType: 0, interfaceIndex: 2, hasVlan: true, vlanTci: 100 }

for (const vlan of ['packet', 'ancillary'] as const) {
  test(`the corpus keeps its verdicts, with tags ${vlan === 'packet' ? 'in the bytes' : 'taken out of them'}`, async (t) => {
    const random = seededRandom(t)
    const packets = withCuts(packetsOf('EN10MB'), 2, (length) => random.between(0, length))
    const names = await readNameTables({ services: ['every'], protocols: ['every'], networks: ['every'], ethers: ['every'], hosts: [] })
    let compared = 0
    for (const text of CORPUS) {
      const graph = graphFor(text, { linkType: 'EN10MB', snapLengthBytes: SNAP_LENGTH, names, netmask: 0, vlan })
      if (graph === undefined) continue
      const ours = linearise(optimise(graph))
      validateProgram(ours)
      assert.equal(firstDifference(ours, linearise(graph), packets, [...IN_AND_OUT, TAGGED]), undefined, text)
      compared++
    }
    assert.ok(compared > 600, `${compared} expressions`)
  })
}

test('libpcap takes packets that end too early for its own unoptimised program, and we do not', { skip }, () => {
  const ip = (length: number, fields: Record<number, number> = {}) => {
    const bytes = new Uint8Array(length)
    for (const [at, value] of Object.entries({ 12: 8, 14: 0x45, 26: 10, 29: 2, ...fields })) bytes[Number(at)] = value
    return bytes
  }
  const cases: [string, Uint8Array][] = [
    // Looks at both source addresses before it looks at a destination.
    ['host 10.0.0.1 or host 10.0.0.2', ip(32)],
    // Has no use for what it loads.
    ['ip[40] & 0 = 0', ip(32)],
  ]
  for (const [expression, packet] of cases) {
    const compiled = theirs(expression)
    assert.ok(compiled !== undefined)
    const ours = linearise(optimise(graphOf(compiled.plain)))
    assert.deepEqual(
      [compiled.plain, ours, compiled.optimised].map((program) => run(program, packet)),
      [0, 0, SNAP_LENGTH],
      expression,
    )
    const whole = ip(80)
    assert.deepEqual(
      [compiled.plain, ours, compiled.optimised].map((program) => run(program, whole)),
      [SNAP_LENGTH, SNAP_LENGTH, SNAP_LENGTH],
      expression,
    )
  }
})

test('random graphs keep their verdicts, with truncated packets, in the kernel and in libpcap', (t) => {
  const random = seededRandom(t)
  const counts = { graphs: 0, changed: 0, before: 0, after: 0, accepted: 0, verdicts: 0 }
  for (let round = 0; round < 5000; round++) {
    const graph = random.oneIn(3) ? randomFormula(random) : randomGraph(random, { blocks: random.pick([4, 14, 40]), wild: random.pick([1, 2, 4, 20]) })
    const before = linearise(graph)
    const optimised = optimise(graph)
    const after = linearise(optimised)
    assert.deepEqual(linearise(graph), before, 'the graph itself changed')
    assert.ok(after.length <= before.length, `round ${round}: ${before.length} instructions became ${after.length}`)
    if (isValid(before)) validateProgram(after)
    counts.graphs++
    counts.before += before.length
    counts.after += after.length
    if (optimised !== graph) counts.changed++
    for (let packets = 0; packets < 12; packets++) {
      const bytes = randomPacket(random)
      const wireLength = bytes.length + (random.oneIn(4) ? random.between(0, 100) : 0)
      for (const machine of ['kernel', 'libpcap'] satisfies Machine[]) {
        const expected = verdictOf(graph, bytes, wireLength, machine)
        const verdict = verdictOf(optimised, bytes, wireLength, machine)
        if (verdict !== expected) assert.fail(`round ${round}: ${verdict} for ${expected}, ${machine}, ${bytes.join()}\n${formatProgram(before, 'd')}`)
        counts.verdicts++
        if (expected !== 0) counts.accepted++
      }
    }
  }
  t.diagnostic(JSON.stringify(counts))
  assert.ok(counts.accepted > 0.2 * counts.verdicts)
  assert.ok(counts.changed > 0.8 * counts.graphs)
  assert.ok(counts.after < 0.3 * counts.before)
})

function isValid(program: readonly Instruction[]): boolean {
  try {
    validateProgram(program)
    return true
  } catch {
    return false
  }
}

const ACCEPT: FlowBlock = { statements: [], end: { answer: 96 } }
const REJECT: FlowBlock = { statements: [], end: { answer: 0 } }

function when(statements: FlowStatement[], code: number, k: number, whenTrue = ACCEPT, whenFalse = REJECT): FlowBlock {
  return { statements, end: { code, k, whenTrue, whenFalse } }
}

const etherType = loadAbsolute(12, 2)
const version = [loadAbsolute(14, 1), compute(RSH, 4)]
/** X is 0 or 4 in what follows, by way of a word. */
function tagged(code: number, k: number, inner: FlowBlock): FlowBlock {
  const next = when([etherType, loadXMemory(0)], code, k, inner)
  const writes = (value: number) => when([loadImmediate(value), store(0), etherType], JEQ, 7, REJECT, next)
  return when([etherType], JEQ, 0x8100, writes(4), writes(0))
}
const cases: { name: string; graph: FlowBlock; program: string[] }[] = [
  {
    name: 'constants are folded',
    graph: when([loadImmediate(6), xFromA(), compute(ADD, 4), compute(MUL, 3), computeX(SUB)], JEQ, 24),
    program: ['ret #96'],
  },
  {
    name: 'an operation goes into the comparison',
    graph: when([loadAbsolute(14, 1), compute(RSH, 4), loadXImmediate(4), computeX(SUB)], JEQ, 0),
    program: ['ldb [14]', 'rsh #4', 'jeq #0x4 jt 3 jf 4', 'ret #96', 'ret #0'],
  },
  {
    name: 'an unused load still rejects',
    graph: when([loadAbsolute(100, 1), etherType], JEQ, 5),
    program: ['ldb [100]', 'ldh [12]', 'jeq #0x5 jt 3 jf 4', 'ret #96', 'ret #0'],
  },
  {
    name: 'an unused load goes where a later one is farther',
    graph: when([loadAbsolute(4, 1), etherType], JEQ, 5, when([loadAbsolute(40, 4)], JGE, 0, when([loadAbsolute(44, 1)], JGT, 9))),
    program: ['ldh [12]', 'jeq #0x5 jt 2 jf 5', 'ldb [44]', 'jgt #0x9 jt 4 jf 5', 'ret #96', 'ret #0'],
  },
  {
    name: 'a division by 0 rejects',
    graph: when([loadAbsolute(0, 1), compute(DIV, 0)], JEQ, 0, ACCEPT, ACCEPT),
    program: ['ret #0'],
  },
  {
    name: 'a division by what may be 0 stays',
    graph: when([loadAbsolute(0, 1), xFromA(), loadAbsolute(1, 1), computeX(DIV)], JEQ, 7, ACCEPT, ACCEPT),
    program: ['ldb [0]', 'tax', 'ldb [1]', 'div x', 'ret #96'],
  },
  {
    name: 'a load with a known X is absolute',
    graph: when([loadImmediate(20), xFromA(), loadIndirect(14, 2)], JEQ, 80),
    program: ['ldh [34]', 'jeq #0x50 jt 2 jf 3', 'ret #96', 'ret #0'],
  },
  {
    name: 'an offset goes into a load, and memory is not needed',
    graph: when([loadImmediate(13), store(0), loadXHeaderLength(14), loadMemory(0), computeX(ADD), xFromA(), loadIndirect(14, 1)], JSET, 2),
    program: ['ldxb 4*([14]&0xf)', 'ldb [x + 27]', 'jset #0x2 jt 3 jf 4', 'ret #96', 'ret #0'],
  },
  {
    name: 'a header length is recognised',
    graph: when([loadAbsolute(14, 1), compute(AND, 15), compute(LSH, 2), xFromA(), loadIndirect(14, 2)], JEQ, 80),
    program: ['ldxb 4*([14]&0xf)', 'ldh [x + 14]', 'jeq #0x50 jt 3 jf 4', 'ret #96', 'ret #0'],
  },
  {
    name: 'what is in A on all ways is not loaded again',
    graph: when([etherType], JEQ, 1, when([etherType], JEQ, 2), when([etherType], JEQ, 3)),
    program: ['ldh [12]', 'jeq #0x1 jt 4 jf 2', 'jeq #0x3 jt 3 jf 4', 'ret #96', 'ret #0'],
  },
  {
    name: 'a comparison is left out where ranges tell its outcome',
    graph: when([etherType], JGT, 1500, when([etherType], JGE, 1000, when([etherType], JEQ, 0x800)), when([etherType], JEQ, 1501)),
    program: ['ldh [12]', 'jgt #0x5dc jt 2 jf 4', 'jeq #0x800 jt 3 jf 4', 'ret #96', 'ret #0'],
  },
  {
    name: 'and of comparisons is reordered to load once',
    graph: when([etherType], JGT, 4, when([loadAbsolute(20, 1)], JEQ, 3, when([etherType], JSET, 1))),
    program: ['ldh [12]', 'jgt #0x4 jt 2 jf 6', 'jset #0x1 jt 3 jf 6', 'ldb [20]', 'jeq #0x3 jt 5 jf 6', 'ret #96', 'ret #0'],
  },
  {
    name: 'or of comparisons is not, over a load that may reject',
    graph: when([etherType, xFromA()], JEQ, 4, ACCEPT, when([loadAbsolute(20, 1)], JEQ, 3, ACCEPT, when([etherType], JEQ, 5))),
    program: ['ldh [12]', 'jeq #0x4 jt 6 jf 2', 'ldb [20]', 'jeq #0x3 jt 6 jf 4', 'ldh [12]', 'jeq #0x5 jt 6 jf 7', 'ret #96', 'ret #0'],
  },
  {
    name: 'or of comparisons is, where that load was made before',
    graph: when([loadAbsolute(20, 1)], JGT, 7, when([etherType], JEQ, 4, ACCEPT, when([loadAbsolute(20, 1)], JEQ, 9, ACCEPT, when([etherType], JEQ, 5)))),
    program: ['ldb [20]', 'jgt #0x7 jt 2 jf 7', 'jeq #0x9 jt 6 jf 3', 'ldh [12]', 'jeq #0x4 jt 6 jf 5', 'jeq #0x5 jt 6 jf 7', 'ret #96', 'ret #0'],
  },
  {
    name: 'or of comparisons is not, for one that may reject itself',
    graph: when([etherType, xFromA()], JEQ, 4, ACCEPT, when([loadAbsolute(13, 1)], JEQ, 3, ACCEPT, when([loadAbsolute(40, 1), etherType], JEQ, 5))),
    program: ['ldh [12]', 'jeq #0x4 jt 7 jf 2', 'ldb [13]', 'jeq #0x3 jt 7 jf 4', 'ldb [40]', 'ldh [12]', 'jeq #0x5 jt 7 jf 8', 'ret #96', 'ret #0'],
  },
  {
    name: 'several comparisons of one value compare that value',
    graph: when(version, JGT, 6, ACCEPT, when(version, JEQ, 4)),
    program: ['ldb [14]', 'rsh #4', 'jgt #0x6 jt 4 jf 3', 'jeq #0x4 jt 4 jf 5', 'ret #96', 'ret #0'],
  },
  {
    name: 'equal blocks become one',
    graph: when([etherType], JEQ, 1, when([loadAbsolute(30, 4)], JEQ, 9), when([etherType], JEQ, 2, when([loadAbsolute(30, 4)], JEQ, 9))),
    program: ['ldh [12]', 'jeq #0x1 jt 3 jf 2', 'jeq #0x2 jt 3 jf 6', 'ld [30]', 'jeq #0x9 jt 5 jf 6', 'ret #96', 'ret #0'],
  },
  {
    name: 'what differs from way to way stays in its word',
    graph: (() => {
      const behind = when([loadXMemory(0), loadIndirect(12, 2)], JEQ, 0x800)
      const tagged = when([loadImmediate(4), store(0), etherType], JEQ, 0x8100, behind)
      return when([loadXImmediate(0), storeX(0), loadAbsolute(0, 1)], JEQ, 1, behind, tagged)
    })(),
    program: [
      'stx M[0]',
      'ldb [0]',
      'jeq #0x1 jt 7 jf 3',
      'ldx #0x4',
      'stx M[0]',
      'ldh [12]',
      'jeq #0x8100 jt 7 jf 11',
      'ldx M[0]',
      'ldh [x + 12]',
      'jeq #0x800 jt 10 jf 11',
      'ret #96',
      'ret #0',
    ],
  },
  {
    name: 'equal comparisons do not, where one has a load of its own that may reject',
    graph: when([etherType], JEQ, 1, when([loadAbsolute(40, 1), loadAbsolute(30, 4)], JEQ, 9), when([etherType], JEQ, 2, when([loadAbsolute(30, 4)], JEQ, 9))),
    program: [
      'ldh [12]',
      'jeq #0x1 jt 2 jf 5',
      'ldb [40]',
      'ld [30]',
      'jeq #0x9 jt 8 jf 9',
      'jeq #0x2 jt 6 jf 9',
      'ld [30]',
      'jeq #0x9 jt 8 jf 9',
      'ret #96',
      'ret #0',
    ],
  },
  {
    name: 'nothing goes around the place where ways with different words meet',
    graph: tagged(JEQ, 0x8100, when([loadIndirect(14, 2)], JEQ, 5)),
    program: [
      'ldh [12]',
      'jeq #0x8100 jt 2 jf 5',
      'ldx #0x4',
      'stx M[0]',
      'ja 7',
      'stx M[0]',
      'jeq #0x7 jt 12 jf 7',
      'jeq #0x8100 jt 8 jf 12',
      'ldx M[0]',
      'ldh [x + 14]',
      'jeq #0x5 jt 11 jf 12',
      'ret #96',
      'ret #0',
    ],
  },
  {
    name: 'a word that is still needed is not written over',
    graph: tagged(
      JGT,
      9,
      when(
        [loadIndirect(14, 2), xFromA(), loadMemory(0), computeX(ADD), store(1), loadXMemory(0), loadIndirect(16, 2), loadXMemory(1), computeX(SUB)],
        JGT,
        5,
        when([loadXMemory(0), loadIndirect(18, 2)], JEQ, 6),
      ),
    ),
    program: [
      'ldh [12]',
      'jeq #0x8100 jt 2 jf 5',
      'ldx #0x4',
      'stx M[0]',
      'ja 7',
      'stx M[0]',
      'jeq #0x7 jt 20 jf 7',
      'jgt #0x9 jt 8 jf 20',
      'ldx M[0]',
      'ldh [x + 14]',
      'add x',
      'st M[1]',
      'ldh [x + 16]',
      'ldx M[1]',
      'sub x',
      'jgt #0x5 jt 16 jf 20',
      'ldx M[0]',
      'ldh [x + 18]',
      'jeq #0x6 jt 19 jf 20',
      'ret #96',
      'ret #0',
    ],
  },
  {
    name: 'a register that is still needed keeps its comparison',
    graph: (() => {
      const behind = when([xFromA(), loadIndirect(40, 1)], JEQ, 5)
      const masked = (at: number) => when([loadAbsolute(at, 1), compute(AND, 2)], JEQ, 0, REJECT, behind)
      return when([etherType], JEQ, 1, masked(20), when([etherType], JEQ, 2, masked(30)))
    })(),
    program: [
      'ldh [12]',
      'jeq #0x1 jt 2 jf 5',
      'ldb [20]',
      'and #0x2',
      'jeq #0x0 jt 13 jf 9',
      'jeq #0x2 jt 6 jf 13',
      'ldb [30]',
      'and #0x2',
      'jeq #0x0 jt 13 jf 9',
      'tax',
      'ldb [x + 40]',
      'jeq #0x5 jt 12 jf 13',
      'ret #96',
      'ret #0',
    ],
  },
  {
    name: 'two values are compared without memory',
    graph: when([loadAbsolute(26, 4), store(0), loadAbsolute(30, 4), store(1), loadXMemory(1), loadMemory(0), computeX(SUB)], JEQ, 0),
    program: ['ld [30]', 'tax', 'ld [26]', 'jeq x jt 4 jf 5', 'ret #96', 'ret #0'],
  },
  {
    name: 'X compared with what is known is a comparison with a number',
    graph: when([loadLength(), loadXImmediate(64)], JEQ_X, 0),
    program: ['ld #pktlen', 'jeq #0x40 jt 2 jf 3', 'ret #96', 'ret #0'],
  },
  {
    name: 'copies between registers go',
    graph: when([etherType, xFromA(), aFromX(), store(3), loadMemory(3)], JEQ, 1),
    program: ['ldh [12]', 'jeq #0x1 jt 2 jf 3', 'ret #96', 'ret #0'],
  },
]

for (const { name, graph, program } of cases) {
  test(name, () => {
    const lines = formatProgram(linearise(optimise(graph)), 'd')
      .trim()
      .split('\n')
    assert.deepEqual(
      lines.map((line) =>
        line
          .replace(/^\(\d+\) /, '')
          .replace(/\s+/g, ' ')
          .trim(),
      ),
      program,
    )
  })
}

test('what is no function of the packet is left as it is', () => {
  const impure = [0xffff_f038, 0xffff_f028, 0xffff_f00c, 0xffff_f010].map((k) =>
    when(
      [
        { code: 0x20, k },
        { code: 0x20, k },
      ],
      JEQ,
      1,
    ),
  )
  const unknown = [when([{ code: 0xff, k: 0 }], JEQ, 1), when([{ code: 0x60, k: 16 }], JEQ, 1), when([compute(LSH, 32)], JEQ, 1), when([], 0x05, 1)]
  for (const graph of [...impure, ...unknown]) assert.equal(optimise(graph), graph)
})

test('a second time nothing is left to do', { skip }, () => {
  for (const { expression, graph } of programs) {
    const once = optimise(graph)
    assert.equal(linearise(optimise(once)).length, linearise(once).length, expression)
  }
})

const HOSTILE = 20_000

function chain(count: number, block: (k: number, next: FlowBlock) => FlowBlock, end = REJECT): FlowBlock {
  let graph = end
  for (let k = 0; k < count; k++) graph = block(k, graph)
  return graph
}

/** Each block leads to two of those behind it. */
function ladder(count: number, statements: (k: number) => FlowStatement[]): FlowBlock {
  let [graph, last] = [ACCEPT, REJECT]
  for (let k = 0; k < count; k++) [graph, last] = [when(statements(k), JEQ, k % 7, graph, last), graph]
  return graph
}

const hostile: Record<string, () => FlowBlock> = {
  'one field': () => chain(HOSTILE, (k, next) => when([etherType], JEQ, k, ACCEPT, next)),
  'a field each': () => chain(HOSTILE, (k, next) => when([loadAbsolute(k, 1)], JEQ, k, ACCEPT, next)),
  'two fields in turn': () => chain(HOSTILE, (k, next) => when([loadAbsolute(k % 2 === 0 ? 12 : 30, 2)], JEQ, k, ACCEPT, next)),
  'and of all': () => chain(HOSTILE, (k, next) => when([loadAbsolute(k % 50, 2)], JEQ, k, next), ACCEPT),
  'a ladder': () => ladder(HOSTILE, (k) => [loadAbsolute(k % 41, 1)]),
  'a ladder of two fields': () => ladder(HOSTILE, (k) => [loadAbsolute(k % 2, 1)]),
  'words that differ everywhere': () => ladder(HOSTILE, (k) => [loadMemory((k * 7) % 16), loadXMemory((k * 5) % 16), computeX(ADD), store((k * 3) % 16)]),
  'a word that is doubled': () => when([loadAbsolute(0, 4), ...Array.from({ length: HOSTILE }, () => [xFromA(), computeX(ADD)]).flat()], JEQ, 1),
  'one that is multiplied by parts of itself': () =>
    when(
      [loadAbsolute(0, 4), ...Array.from({ length: 95 }, (_, k) => [store(0), compute(AND, ~k >>> 0), xFromA(), loadMemory(0), computeX(MUL)]).flat()],
      JEQ,
      1,
    ),
  'more blocks than are looked at': () => chain(200_000, (k, next) => when([etherType], JEQ, k, ACCEPT, next)),
}

for (const [name, graph] of Object.entries(hostile)) {
  test(`hostile graphs take bounded time: ${name}`, (t) => {
    const made = graph()
    const before = process.cpuUsage()
    optimise(made)
    const { user, system } = process.cpuUsage(before)
    const seconds = (user + system) / 1e6
    t.diagnostic(`${seconds.toFixed(2)} s of CPU`)
    // Ten times what it took.
    assert.ok(seconds < 25, `${seconds} s`)
  })
}
