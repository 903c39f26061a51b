/** Flow graphs from programs, so that the optimiser can be tested with what tcpdump makes. */
import type { Instruction } from '#src/bpf/classic.js'
import type { FlowBlock } from '#src/filter/flow-graph.js'

const JUMP = 0x05
const JUMP_ALWAYS = 0x05
const JUMP_IF_EQUAL = 0x15
const RETURN = 0x06

/** Each instruction that is jumped to begins a block. `program` has no loops and returns numbers. */
export function graphOf(program: readonly Instruction[]): FlowBlock {
  const blocks = new Map<number, FlowBlock>()
  const starts = new Set<number>([0])
  for (const [index, [code, jt, jf, k]] of program.entries()) {
    if ((code & 7) !== JUMP) continue
    for (const distance of code === JUMP_ALWAYS ? [k] : [jt, jf]) {
      if (distance < 0 || distance >= program.length) throw new Error(`instruction ${index} jumps back`)
      starts.add(index + 1 + distance)
    }
  }
  for (const start of [...starts].sort((a, b) => b - a)) {
    const block: FlowBlock = { statements: [], end: { answer: 0 } }
    const at = (index: number): FlowBlock => {
      const found = blocks.get(index)
      if (found === undefined) throw new Error(`nothing at ${index}`)
      return found
    }
    for (let index = start; ; index++) {
      const [code, jt, jf, k] = program[index]
      if ((code & 7) === RETURN) {
        block.end = { answer: k }
        break
      }
      if (code === JUMP_ALWAYS || (index > start && starts.has(index))) {
        const next = at(code === JUMP_ALWAYS ? index + 1 + k : index)
        block.end = { code: JUMP_IF_EQUAL, k: 0, whenTrue: next, whenFalse: next }
        break
      }
      if ((code & 7) === JUMP) {
        block.end = { code, k, whenTrue: at(index + 1 + jt), whenFalse: at(index + 1 + jf) }
        break
      }
      block.statements.push({ code, k })
    }
    blocks.set(start, block)
  }
  return blocks.get(0) as FlowBlock
}

/**
 * How the two machines differ: the kernel adds X and k modulo 2^32, and has negative offsets that count from headers; libpcap rejects
 * the packet.
 */
export type Machine = 'kernel' | 'libpcap'

/** What a graph answers for a packet, by walking it: independent of linearise() and of the interpreter of programs. */
export function verdictOf(graph: FlowBlock, packet: Uint8Array, wireLength: number, machine: Machine = 'kernel'): number {
  const memory = new Array<number>(16).fill(0)
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
  let a = 0
  let x = 0
  /** Undefined behind the end. */
  const load = (offset: number, size: number): number | undefined => {
    let at = offset
    if (machine === 'kernel') {
      const signed = offset | 0
      at = signed >= 0 ? signed : signed >= -0x100000 ? signed + 0x100000 + 14 : signed + 0x200000
    }
    if (at < 0 || at + size > packet.length) return undefined
    return size === 4 ? view.getUint32(at) : size === 2 ? view.getUint16(at) : view.getUint8(at)
  }
  for (let block = graph; ; ) {
    for (const { code, k } of block.statements) {
      const size = (code & 0x18) === 0 ? 4 : (code & 0x18) === 0x08 ? 2 : 1
      let loaded: number | undefined = 0
      switch (code) {
        case 0x20:
        case 0x28:
        case 0x30:
          loaded = a = (k >= 0xffff_f000 ? undefined : load(k, size)) as number
          break
        case 0x40:
        case 0x48:
        case 0x50:
          loaded = a = load(x + k, size) as number
          break
        case 0xb1:
          loaded = load(k, 1)
          x = 4 * ((loaded ?? 0) & 15)
          break
        case 0x00:
          a = k
          break
        case 0x01:
          x = k
          break
        case 0x80:
          a = wireLength
          break
        case 0x81:
          x = wireLength
          break
        case 0x60:
          a = memory[k]
          break
        case 0x61:
          x = memory[k]
          break
        case 0x02:
          memory[k] = a
          break
        case 0x03:
          memory[k] = x
          break
        case 0x07:
          x = a
          break
        case 0x87:
          a = x
          break
        case 0x84:
          a = -a >>> 0
          break
        default: {
          const operand = (code & 8) !== 0 ? x : k
          const big = [BigInt(a), BigInt(operand)] as const
          const operation = code & 0xf0
          if ((operation === 0x30 || operation === 0x90) && operand === 0) return 0
          const shift = BigInt(operand % 32)
          const result =
            operation === 0x00
              ? big[0] + big[1]
              : operation === 0x10
                ? big[0] - big[1]
                : operation === 0x20
                  ? big[0] * big[1]
                  : operation === 0x30
                    ? big[0] / big[1]
                    : operation === 0x40
                      ? big[0] | big[1]
                      : operation === 0x50
                        ? big[0] & big[1]
                        : operation === 0x60
                          ? big[0] << shift
                          : operation === 0x70
                            ? big[0] >> shift
                            : operation === 0x90
                              ? big[0] % big[1]
                              : big[0] ^ big[1]
          a = Number(BigInt.asUintN(32, result))
        }
      }
      if (loaded === undefined) return 0
    }
    const { end } = block
    if ('answer' in end) return end.answer
    const right = (end.code & 8) !== 0 ? x : end.k
    const comparison = end.code & 0xf0
    const holds = comparison === 0x10 ? a === right : comparison === 0x20 ? a > right : comparison === 0x30 ? a >= right : (a & right) !== 0
    block = holds ? end.whenTrue : end.whenFalse
  }
}
