/** Random flow graphs, of the statements that filters are made of, and packets that they look into. */
import type { FlowBlock, FlowStatement } from '#src/filter/flow-graph.js'
import type { Random } from './random.js'

const LOADS = [0x20, 0x28, 0x30]
const INDIRECT = [0x40, 0x48, 0x50]
const OPERATIONS = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xa0]
const COMPARISONS = [0x15, 0x15, 0x15, 0x25, 0x35, 0x45]
const OFFSETS = [0, 0, 4, 8, 12, 12, 16, 20]
const ODD_OFFSETS = [1, 7, 13, 30, 63, 200, 0x7fff_fffe, 0x8000_0000, 0xffe0_0000, 0xfff0_0004, 0xffff_f02c]
const NUMBERS = [0, 0, 1, 1, 2, 3, 4, 5, 7, 8, 15, 0xff, 0x100, 0x101, 0x0101_0101, 0x8000_0000, 0xffff_fffe, 0xffff_ffff]

export interface RandomGraphOptions {
  /** At most. Default 14. */
  blocks?: number | undefined
  /**
   * How often a block begins with a load of its own, as the blocks of the generator do, instead of using what is in the registers.
   * One in so many does not.
   */
  wild?: number | undefined
}

export function randomGraph(random: Random, { blocks: most = 14, wild = 4 }: RandomGraphOptions = {}): FlowBlock {
  const count = random.between(1, most)
  const answers = [0, random.pick([1, 40, 0x40000])].map((answer): FlowBlock => ({ statements: [], end: { answer } }))
  const blocks: FlowBlock[] = []
  for (let index = 0; index < count; index++) {
    const next = (): FlowBlock => {
      if (blocks.length === 0 || random.oneIn(6)) return random.pick(answers)
      return random.oneIn(3) ? random.pick(blocks) : blocks[Math.max(0, blocks.length - random.between(1, 3))]
    }
    const statements: FlowStatement[] = []
    if (!random.oneIn(wild)) statements.push(...field(random))
    for (let more = random.oneIn(2) ? 0 : random.between(1, 4); more > 0; more--) statements.push(...step(random))
    if (random.oneIn(25)) {
      blocks.push({ statements, end: { answer: random.pick([0, 5, 9]) } })
      continue
    }
    const code = random.pick(COMPARISONS) | (random.oneIn(8) ? 8 : 0)
    blocks.push({ statements, end: { code, k: number(random), whenTrue: next(), whenFalse: next() } })
  }
  const root = blocks[blocks.length - 1]
  // The kernel demands that memory be written before it is read.
  const written = [0, 1, 2].flatMap((word) => [
    { code: 0x00, k: word + 3 },
    { code: 0x02, k: word },
  ])
  root.statements.unshift(...written)
  return root
}

/** Comparisons of few fields with `and`, `or` and `not` between them: what expressions become. */
export function randomFormula(random: Random): FlowBlock {
  const fields = Array.from({ length: random.between(1, 4) }, () => field(random))
  const answer = (k: number): FlowBlock => ({ statements: [], end: { answer: k } })
  const part = (depth: number, whenTrue: FlowBlock, whenFalse: FlowBlock): FlowBlock => {
    if (depth === 0 || random.oneIn(5)) {
      // Now and then a load that nobody looks at.
      const statements = [...(random.oneIn(5) ? random.pick(fields) : []), ...random.pick(fields)]
      if (random.oneIn(6)) statements.push({ code: 0x54, k: number(random) })
      return { statements, end: { code: random.oneIn(4) ? random.pick(COMPARISONS) : 0x15, k: random.between(0, 3), whenTrue, whenFalse } }
    }
    if (random.oneIn(6)) return part(depth - 1, whenFalse, whenTrue)
    const isAnd = random.oneIn(2)
    let next = part(depth - 1, whenTrue, whenFalse)
    for (let more = random.between(1, 3); more > 0; more--) {
      next = isAnd ? part(depth - 1, next, whenFalse) : part(depth - 1, whenTrue, next)
    }
    return next
  }
  return part(random.between(1, 4), answer(random.oneIn(8) ? 0 : 50), answer(random.oneIn(8) ? 30 : 0))
}

function number(random: Random): number {
  return random.oneIn(6) ? random.word() : random.pick(NUMBERS)
}

function offset(random: Random): number {
  return random.oneIn(30) ? random.pick(ODD_OFFSETS) : random.pick(OFFSETS)
}

/** A field of the packet, into A. */
function field(random: Random): FlowStatement[] {
  const load = random.pick(LOADS)
  switch (random.between(0, 9)) {
    case 0:
    case 1:
      return [
        { code: 0xb1, k: random.pick(OFFSETS) },
        { code: random.pick(INDIRECT), k: offset(random) },
      ]
    case 2:
      return [
        { code: load, k: offset(random) },
        { code: 0x54, k: number(random) },
      ]
    case 3:
      return [{ code: 0x80, k: 0 }]
    default:
      return [{ code: load, k: offset(random) }]
  }
}

function step(random: Random): FlowStatement[] {
  const word = random.between(0, 2)
  const operation = 0x04 | random.pick(OPERATIONS)
  switch (random.between(0, 13)) {
    case 0:
      return [{ code: 0x07, k: 0 }]
    case 1:
      return [{ code: 0x87, k: 0 }]
    case 2:
    case 3:
      return [{ code: random.pick([0x02, 0x03]), k: word }]
    case 4:
    case 5:
      return [{ code: random.pick([0x60, 0x61]), k: word }]
    case 6:
      return [{ code: random.pick([0x00, 0x01]), k: number(random) }]
    case 7:
      return [{ code: random.pick(INDIRECT), k: offset(random) }]
    case 8:
      return [{ code: operation | 8, k: 0 }]
    case 9:
      return random.oneIn(4) ? [{ code: 0x84, k: 0 }] : [{ code: operation | 8, k: 0 }]
    case 10:
      return field(random)
    default: {
      const isShift = operation === 0x64 || operation === 0x74
      return [{ code: operation, k: isShift ? random.between(0, 31) : random.oneIn(20) ? 0 : Math.max(1, number(random)) }]
    }
  }
}

/** Short, and of few different bytes, so that comparisons hold and loads miss the end. */
export function randomPacket(random: Random): Uint8Array<ArrayBuffer> {
  const bytes = random.bytes(random.oneIn(3) ? random.between(0, 70) : random.between(20, 40))
  if (random.oneIn(8)) return bytes
  return bytes.map((byte) => (byte < 200 ? byte & 1 : byte < 240 ? byte & 7 : byte))
}
