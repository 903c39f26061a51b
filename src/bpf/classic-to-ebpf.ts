/**
 * Classic BPF translated into the front part of an XDP program. The packet is read where it stands, behind the looks at its end
 * that the verifier wants; what a frame has outside of its first buffer is read by a second translation that fetches every piece.
 * Pure.
 *
 * XDP sees the frame as the wire has it: with its VLAN tags, before the stack has made a packet of it. So programs come from the
 * filter language's variant for tags in the packet, and those that ask the stack for a tag are refused.
 */
import { CaptureError } from '../errors.js'
import { BPF_FUNC_get_prandom_u32, BPF_FUNC_get_smp_processor_id, BPF_FUNC_xdp_get_buff_len, BPF_FUNC_xdp_load_bytes, XDP_MD } from '../kernel/abi/ebpf.js'
import {
  BPF_ABS,
  BPF_ADD,
  BPF_ALU,
  BPF_AND,
  BPF_DIV,
  BPF_IMM,
  BPF_IND,
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JSET,
  BPF_K,
  BPF_LD,
  BPF_LDX,
  BPF_LEN,
  BPF_LSH,
  BPF_MEM,
  BPF_MISC,
  BPF_MOD,
  BPF_MSH,
  BPF_MUL,
  BPF_NEG,
  BPF_OR,
  BPF_RET,
  BPF_RSH,
  BPF_ST,
  BPF_STX,
  BPF_SUB,
  BPF_TAX,
  BPF_X,
  BPF_XOR,
  SKF_AD_ALU_XOR_X,
  SKF_AD_CPU,
  SKF_AD_IFINDEX,
  SKF_AD_NLATTR,
  SKF_AD_NLATTR_NEST,
  SKF_AD_OFF,
  SKF_AD_PKTTYPE,
  SKF_AD_PROTOCOL,
  SKF_AD_QUEUE,
  SKF_AD_RANDOM,
  SKF_AD_VLAN_TAG,
  SKF_AD_VLAN_TAG_PRESENT,
  SKF_AD_VLAN_TPID,
  SKF_LL_OFF,
  SKF_NET_OFF,
} from '../kernel/abi/filter.js'
import { PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST } from '../kernel/abi/if_packet.js'
import { ETH_P_802_2, ETH_P_802_3 } from '../kernel/abi/socket.js'
import { type Instruction, validateProgram } from './classic.js'
import { type Facts, isNear, isPlain, learn } from './classic-flow.js'
import {
  type AluOperation,
  alu,
  alu32,
  type Condition,
  call,
  jump,
  jumpIf,
  jumpIf32,
  label,
  load,
  type Register,
  type Size,
  type Statement,
  store,
  toBigEndian,
} from './ebpf.js'
import { DEFAULT_NETWORK_OFFSET, isAncillary, loadBytes, resolveOffset } from './interpret.js'

export interface XdpFilterOptions {
  /** The labels that the filter jumps to. */
  accept: string
  reject: string
  /**
   * Frames may lie in several buffers: to be loaded with BPF_F_XDP_HAS_FRAGS, Linux 5.18. Without it, a filter that asks for the
   * length needs CAP_PERFMON to load. Default false.
   */
  multiBuffer?: boolean | undefined
}

const CONTEXT: Register = 'r6'
const A: Register = 'r7'
const X: Register = 'r8'
const DATA: Register = 'r9'
/** Where X points to in the packet, once it has been looked whether that is there. */
const AT_X: Register = 'r3'

/** The stack: 16 words, and then these. */
const LENGTH = -68
const PIECE = -72
const OUTSIDE = 'filter outside'

/** No frame has more in one buffer, and the verifier follows no pointer farther. */
const FARTHEST = 0xffff
/** The largest offset of a load instruction. */
const LARGEST_OFFSET = 0x7fff
/** What a jump's 16 bits reach, less what may stand around the filter. */
const MAX_SLOTS = 32_000
const ETHERNET_BYTES = 14
const ETHER_TYPE = 12
const ETH_P_802_3_MIN = 0x0600

const FIRST_ANCILLARY = SKF_AD_OFF >>> 0
const SIZES = { 1: 'b', 2: 'h', 4: 'w' } as const satisfies Record<number, Size>

/**
 * Statements that expect the context, struct xdp_md, in r6, and jump to `accept` or to `reject`. There r6 still has it, and the
 * other registers hold nothing of use; of the stack, bytes -72 to -1 are lost. No way leads out of their end. A filter that accepts
 * all or nothing jumps to one label only, and what stands behind the other is for the verifier unreachable, which it refuses.
 *
 * Since Linux 5.1. As the kernel does it in a socket, but for these:
 * - SKF_AD_PROTOCOL: the EtherType, of a tag as well, or 4 or 1 for 802.2 and 802.3, as eth_type_trans() has it
 * - SKF_AD_PKTTYPE: by the destination, PACKET_BROADCAST, PACKET_MULTICAST, else PACKET_HOST: whose address it is, XDP does not know
 * - SKF_AD_QUEUE: the receive queue plus 1, as skb_record_rx_queue() notes it
 * - SKF_NET_OFF: behind Ethernet's header, where a tag may stand
 * - what lies beyond the first 65,535 bytes is not there
 *
 * @throws CaptureError INVALID_OPTION for what validateProgram refuses, for ancillary loads that XDP has no answer to (VLAN tags,
 * mark, hardware type, hash, payload offset, netlink attributes), and for a program that becomes too long for 16-bit jumps.
 */
export function filterToXdp(program: readonly Instruction[], options: XdpFilterOptions): Statement[] {
  validateProgram(program)
  const plain = withoutReach(program.map(asXdpSeesIt))
  const facts = learn(plain, isCall)
  const usesLength = plain.some(([code], index) => facts.matters[index] === 1 && isLengthLoad(code))
  const multiBuffer = options.multiBuffer === true
  const direct = new Translation(plain, facts, options, new DirectLoads(multiBuffer ? OUTSIDE : options.reject), 'filter').statements()
  const statements = [
    load('w', DATA, CONTEXT, XDP_MD.data),
    ...(usesLength ? (multiBuffer ? lengthOfBuffers() : lengthOfBuffer()) : []),
    alu32('mov', A, 0),
    alu32('mov', X, 0),
    ...direct,
  ]
  if (direct.some((it) => 'target' in it && it.target === OUTSIDE)) {
    const fetching = new Translation(plain, facts, options, new FetchedLoads(options.reject), 'filter again').statements()
    statements.push(...whenOutside(options.reject), ...fetching)
  }
  const slots = statements.filter((it) => !('label' in it)).length
  if (slots > MAX_SLOTS) {
    const message = `The filter of ${program.length} BPF instructions becomes ${slots} of eBPF, and jumps in it reach ${MAX_SLOTS}`
    throw new CaptureError('INVALID_OPTION', message, { hint: 'a shorter filter, or another backend than xdp' })
  }
  return statements
}

/** Loads whose place is known count from the packet's start; ancillary loads must have an answer. */
function asXdpSeesIt(instruction: Instruction, index: number): Instruction {
  const [code, jt, jf, k] = instruction
  const isMsh = code === (BPF_LDX | BPF_MSH | (code & 0x18))
  const isAbsolute = (code & 0x07) === BPF_LD && (code & 0xe0) === BPF_ABS
  if (isAbsolute && isAncillary(k)) {
    const problem = REFUSED.get(k - FIRST_ANCILLARY)
    if (problem === undefined && ANSWERED.has(k - FIRST_ANCILLARY)) return instruction
    throw new CaptureError('INVALID_OPTION', `BPF instruction ${index}: ${problem ?? 'XDP does not know what the ancillary load asks for'}`)
  }
  if (!(isMsh || isAbsolute)) return instruction
  const at = resolveOffset(k | 0, DEFAULT_NETWORK_OFFSET)
  return at < 0 || at + loadBytes(code) > FARTHEST ? REJECT : [code, jt, jf, at]
}

const REJECT: Instruction = [BPF_RET | BPF_K, 0, 0, 0]
const ANSWERED: ReadonlySet<number> = new Set([SKF_AD_PROTOCOL, SKF_AD_PKTTYPE, SKF_AD_IFINDEX, SKF_AD_QUEUE, SKF_AD_CPU, SKF_AD_ALU_XOR_X, SKF_AD_RANDOM])
const NO_TAG = 'XDP sees a VLAN tag in the packet, and no other: the filter must be compiled for tags in the packet'
const REFUSED: ReadonlyMap<number, string> = new Map([
  ...[SKF_AD_VLAN_TAG, SKF_AD_VLAN_TAG_PRESENT, SKF_AD_VLAN_TPID].map((field) => [field, NO_TAG] as const),
  ...[SKF_AD_NLATTR, SKF_AD_NLATTR_NEST].map((field) => [field, 'loads of netlink attributes are for netlink sockets'] as const),
])

/** Loads behind X that lie too far even for an X of 0. */
function withoutReach(program: readonly Instruction[]): Instruction[] {
  const { largestX } = learn(program)
  return program.map((instruction, index) => {
    const [code, , , k] = instruction
    const isIndirect = (code & 0x07) === BPF_LD && (code & 0xe0) === BPF_IND
    return isIndirect && isNear(k, largestX[index] as number) && k + loadBytes(code) > FARTHEST ? REJECT : instruction
  })
}

function isCall([code, , , k]: Instruction): boolean {
  if ((code & 0x07) !== BPF_LD || (code & 0xe0) !== BPF_ABS) return false
  return k === FIRST_ANCILLARY + SKF_AD_CPU || k === FIRST_ANCILLARY + SKF_AD_RANDOM
}

function isLengthLoad(code: number): boolean {
  return ((code & 0x07) === BPF_LD || (code & 0x07) === BPF_LDX) && (code & 0xe0) === BPF_LEN
}

function lengthOfBuffer(): Statement[] {
  return [load('w', 'r2', CONTEXT, XDP_MD.data_end), alu('sub', 'r2', DATA), store('w', 'r10', LENGTH, 'r2')]
}

function lengthOfBuffers(): Statement[] {
  return [alu('mov', 'r1', CONTEXT), call(BPF_FUNC_xdp_get_buff_len), store('w', 'r10', LENGTH, 'r0')]
}

/** A look was in vain. If that was the whole frame it is rejected, else all begins anew with loads that find what is in other buffers. */
function whenOutside(reject: string): Statement[] {
  const again = 'filter in several buffers'
  return [
    label(OUTSIDE),
    alu('mov', 'r1', CONTEXT),
    call(BPF_FUNC_xdp_get_buff_len),
    jumpIf('gt', 'r0', FARTHEST, again),
    alu('add', 'r0', DATA),
    load('w', 'r2', CONTEXT, XDP_MD.data_end),
    jumpIf('le', 'r0', 'r2', reject),
    label(again),
    alu32('mov', A, 0),
    alu32('mov', X, 0),
  ]
}

/** How bytes of the packet come into a register. */
interface Loads {
  /** Bytes from the packet's start, or from X on, must be there. */
  look(bytes: number): Statement[]
  lookBehindX(bytes: number): Statement[]
  /** Big-endian, as it stands there. */
  absolute(size: Size, into: Register, at: number): Statement[]
  nearX(size: Size, into: Register, at: number): Statement[]
  /** From r4 on, anywhere in 32 bits. */
  anywhere(size: Size, bytes: number, into: Register): Statement[]
}

class DirectLoads implements Loads {
  readonly #outside: string

  constructor(outside: string) {
    this.#outside = outside
  }

  look(bytes: number): Statement[] {
    return [alu('mov', 'r4', DATA), ...this.#within('r4', bytes)]
  }

  lookBehindX(bytes: number): Statement[] {
    return [...this.#pointTo(AT_X, X, bytes), alu('mov', 'r4', AT_X), ...this.#within('r4', bytes)]
  }

  absolute(size: Size, into: Register, at: number): Statement[] {
    return loadFrom(size, into, DATA, at)
  }

  nearX(size: Size, into: Register, at: number): Statement[] {
    return loadFrom(size, into, AT_X, at)
  }

  anywhere(size: Size, bytes: number, into: Register): Statement[] {
    return [...this.#pointTo('r4', 'r4', bytes), alu('mov', 'r5', 'r4'), ...this.#within('r5', bytes), load(size, into, 'r4', 0)]
  }

  /** `pointer` = the packet's byte `index`. The verifier lets no number be added to a pointer whose bound it does not know. */
  #pointTo(pointer: Register, index: Register, bytes: number): Statement[] {
    return [...(pointer === index ? [] : [alu('mov', pointer, index)]), jumpIf('gt', pointer, FARTHEST - bytes, this.#outside), alu('add', pointer, DATA)]
  }

  /** Loses `pointer` and r2. */
  #within(pointer: Register, bytes: number): Statement[] {
    return [alu('add', pointer, bytes), load('w', 'r2', CONTEXT, XDP_MD.data_end), jumpIf('gt', pointer, 'r2', this.#outside)]
  }
}

function loadFrom(size: Size, into: Register, pointer: Register, at: number): Statement[] {
  if (at <= LARGEST_OFFSET) return [load(size, into, pointer, at)]
  return [alu('mov', 'r4', pointer), alu('add', 'r4', at), load(size, into, 'r4', 0)]
}

class FetchedLoads implements Loads {
  readonly #reject: string

  constructor(reject: string) {
    this.#reject = reject
  }

  look(): Statement[] {
    return []
  }

  lookBehindX(): Statement[] {
    return []
  }

  absolute(size: Size, into: Register, at: number): Statement[] {
    return [alu32('mov', 'r2', at), ...this.#fetch(size, into)]
  }

  nearX(size: Size, into: Register, at: number): Statement[] {
    return [alu32('mov', 'r2', X), alu32('add', 'r2', at), ...this.#fetch(size, into)]
  }

  anywhere(size: Size, _bytes: number, into: Register): Statement[] {
    return [alu('mov', 'r2', 'r4'), ...this.#fetch(size, into)]
  }

  #fetch(size: Size, into: Register): Statement[] {
    return [
      alu('mov', 'r1', CONTEXT),
      alu('mov', 'r3', 'r10'),
      alu('add', 'r3', PIECE),
      alu32('mov', 'r4', { b: 1, h: 2, w: 4, dw: 8 }[size]),
      call(BPF_FUNC_xdp_load_bytes),
      jumpIf('ne', 'r0', 0, this.#reject),
      load(size, into, 'r10', PIECE),
    ]
  }
}

class Translation {
  readonly #program: readonly Instruction[]
  readonly #facts: Facts
  readonly #accept: string
  readonly #reject: string
  readonly #loads: Loads
  readonly #name: string
  /** Jumps lead there. */
  readonly #isTarget: Uint8Array

  constructor(program: readonly Instruction[], facts: Facts, { accept, reject }: XdpFilterOptions, loads: Loads, name: string) {
    this.#program = program
    this.#facts = facts
    this.#accept = accept
    this.#reject = reject
    this.#loads = loads
    this.#name = name
    this.#isTarget = new Uint8Array(program.length)
    for (const [index, next] of facts.next.entries()) {
      if (facts.matters[index] === 1) for (const to of next) if (to !== index + 1) this.#isTarget[to] = 1
    }
  }

  statements(): Statement[] {
    const statements: Statement[] = []
    if (this.#answer(0) !== undefined) return [jump(this.#labelOf(0))]
    for (let index = 0; index < this.#program.length; index++) {
      if (this.#answer(index) !== undefined) continue
      if (this.#isTarget[index] === 1) statements.push(label(this.#labelOf(index)))
      const bytes = this.#facts.look[index] as number
      const behindX = this.#facts.lookBehindX[index] as number
      if (bytes > 0) statements.push(...this.#loads.look(bytes))
      if (behindX > 0) statements.push(...this.#loads.lookBehindX(behindX))
      statements.push(...this.#run(index), ...this.#goOn(index))
    }
    return statements
  }

  /** Where the program ends without a look at A. */
  #answer(index: number): string | undefined {
    if (this.#facts.matters[index] === 0) return this.#reject
    // Of those that return a constant, only they matter whose constant is not 0.
    return (this.#program[index] as Instruction)[0] === (BPF_RET | BPF_K) ? this.#accept : undefined
  }

  #labelOf(index: number): string {
    return this.#answer(index) ?? `${this.#name} ${index}`
  }

  /** To what comes next, which is the instruction behind this one or has a label. */
  #goOn(index: number): Statement[] {
    const [onTrue, onFalse] = this.#facts.next[index] as readonly [number?, number?]
    if (onTrue === undefined) return [jumpIf32('eq', A, 0, this.#reject), jump(this.#accept)]
    const isNext = (to: number) => to === index + 1 && this.#answer(to) === undefined
    const goTo = (to: number) => (isNext(to) ? [] : [jump(this.#labelOf(to))])
    if (onFalse === undefined || onTrue === onFalse) return goTo(onTrue)
    const [code, , , k] = this.#program[index] as Instruction
    const operand = (code & BPF_X) !== 0 ? X : k
    const [condition, opposite] = CONDITIONS[code & 0xf0] as readonly [Condition, Condition?]
    if (isNext(onTrue) && opposite !== undefined) return [jumpIf32(opposite, A, operand, this.#labelOf(onFalse))]
    if (isNext(onTrue)) {
      const over = `${this.#name} ${index} holds`
      return [jumpIf32(condition, A, operand, over), jump(this.#labelOf(onFalse)), label(over)]
    }
    return [jumpIf32(condition, A, operand, this.#labelOf(onTrue)), ...goTo(onFalse)]
  }

  /** What an instruction does to A, X and memory. */
  #run(index: number): Statement[] {
    const [code, , , k] = this.#program[index] as Instruction
    switch (code & 0x07) {
      case BPF_LD:
        return this.#load(code, k, index)
      case BPF_LDX:
        if ((code & 0xe0) === BPF_MSH) return [...this.#loads.absolute('b', X, k), alu32('and', X, 0x0f), alu32('lsh', X, 2)]
        return loadValue(code, X, k)
      case BPF_ST:
      case BPF_STX:
        return [store('w', 'r10', wordAt(k), (code & 0x07) === BPF_ST ? A : X)]
      case BPF_ALU:
        return this.#calculate(code, k)
      case BPF_MISC:
        return [(code & 0xf8) === BPF_TAX ? alu32('mov', X, A) : alu32('mov', A, X)]
      default:
        return []
    }
  }

  #load(code: number, k: number, index: number): Statement[] {
    const mode = code & 0xe0
    const bytes = loadBytes(code)
    const size = SIZES[bytes]
    const swap = bytes === 1 ? [] : [toBigEndian(A, bytes === 2 ? 16 : 32)]
    if (mode === BPF_ABS) return isPlain(k) ? [...this.#loads.absolute(size, A, k), ...swap] : this.#ancillary(k - FIRST_ANCILLARY, index)
    if (mode !== BPF_IND) return loadValue(code, A, k)
    const largestX = this.#facts.largestX[index] as number
    if (isNear(k, largestX)) return [...this.#loads.nearX(size, A, k), ...swap]
    const at = `${this.#name} ${index} at`
    const canCountFromHeader = k + largestX >= SKF_LL_OFF >>> 0
    const toNetwork = `${this.#name} ${index} network`
    return [
      // NB: not X, then k added: of such a sum the verifier remembers k, and refuses to add it to a pointer (Linux 6.18).
      alu32('mov', 'r4', k),
      alu32('add', 'r4', X),
      ...(canCountFromHeader
        ? [
            jumpIf32('lt', 'r4', SKF_LL_OFF >>> 0, at),
            jumpIf32('ge', 'r4', SKF_NET_OFF >>> 0, toNetwork),
            alu32('sub', 'r4', SKF_LL_OFF),
            jump(at),
            label(toNetwork),
            alu32('add', 'r4', DEFAULT_NETWORK_OFFSET - SKF_NET_OFF),
            label(at),
          ]
        : []),
      ...this.#loads.anywhere(size, bytes, A),
      ...swap,
    ]
  }

  #ancillary(field: number, index: number): Statement[] {
    switch (field) {
      case SKF_AD_ALU_XOR_X:
        return [alu32('xor', A, X)]
      case SKF_AD_IFINDEX:
        return [load('w', A, CONTEXT, XDP_MD.ingress_ifindex)]
      case SKF_AD_QUEUE:
        return [load('w', A, CONTEXT, XDP_MD.rx_queue_index), alu32('add', A, 1)]
      case SKF_AD_CPU:
        return [call(BPF_FUNC_get_smp_processor_id), alu32('mov', A, 'r0')]
      case SKF_AD_RANDOM:
        return [call(BPF_FUNC_get_prandom_u32), alu32('mov', A, 'r0')]
      case SKF_AD_PROTOCOL:
        return this.#protocol(`${this.#name} ${index} type`)
      default:
        return this.#packetType(`${this.#name} ${index} kind`)
    }
  }

  /** eth_type_trans() of net/ethernet/eth.c, but that it looks at a tag, too. Every frame has Ethernet's header in its first buffer. */
  #protocol(done: string): Statement[] {
    return [
      ...this.#ethernetHeader(),
      load('h', A, DATA, ETHER_TYPE),
      toBigEndian(A, 16),
      jumpIf32('ge', A, ETH_P_802_3_MIN, done),
      alu32('mov', A, ETH_P_802_2),
      alu('mov', 'r4', DATA),
      alu('add', 'r4', ETHERNET_BYTES + 2),
      jumpIf('gt', 'r4', 'r2', done),
      load('h', 'r4', DATA, ETHERNET_BYTES),
      jumpIf32('ne', 'r4', 0xffff, done),
      alu32('mov', A, ETH_P_802_3),
      label(done),
    ]
  }

  #packetType(done: string): Statement[] {
    return [
      ...this.#ethernetHeader(),
      load('b', 'r4', DATA, 0),
      alu32('and', 'r4', 1),
      alu32('mov', A, PACKET_HOST),
      jumpIf32('eq', 'r4', 0, done),
      alu32('mov', A, PACKET_MULTICAST),
      load('w', 'r4', DATA, 0),
      jumpIf32('ne', 'r4', 0xffff_ffff, done),
      load('h', 'r4', DATA, 4),
      jumpIf32('ne', 'r4', 0xffff, done),
      alu32('mov', A, PACKET_BROADCAST),
      label(done),
    ]
  }

  /** Leaves the end of the first buffer in r2. */
  #ethernetHeader(): Statement[] {
    return [alu('mov', 'r4', DATA), alu('add', 'r4', ETHERNET_BYTES), load('w', 'r2', CONTEXT, XDP_MD.data_end), jumpIf('gt', 'r4', 'r2', this.#reject)]
  }

  #calculate(code: number, k: number): Statement[] {
    const operation = code & 0xf0
    // -A = ~A + 1
    if (operation === BPF_NEG) return [alu32('xor', A, 0xffff_ffff), alu32('add', A, 1)]
    const isX = (code & BPF_X) !== 0
    const unlessZero = isX && (operation === BPF_DIV || operation === BPF_MOD) ? [jumpIf32('eq', X, 0, this.#reject)] : []
    return [...unlessZero, alu32(OPERATIONS[operation] as AluOperation, A, isX ? X : k)]
  }
}

function loadValue(code: number, into: Register, k: number): Statement[] {
  switch (code & 0xe0) {
    case BPF_LEN:
      return [load('w', into, 'r10', LENGTH)]
    case BPF_MEM:
      return [load('w', into, 'r10', wordAt(k))]
    case BPF_IMM:
      return [alu32('mov', into, k)]
    default:
      throw new Error(`no load 0x${code.toString(16)}`)
  }
}

function wordAt(k: number): number {
  return -4 * (k + 1)
}

const OPERATIONS: Readonly<Record<number, AluOperation>> = {
  [BPF_ADD]: 'add',
  [BPF_SUB]: 'sub',
  [BPF_MUL]: 'mul',
  [BPF_DIV]: 'div',
  [BPF_MOD]: 'mod',
  [BPF_AND]: 'and',
  [BPF_OR]: 'or',
  [BPF_XOR]: 'xor',
  // By a register they count modulo 32, as the kernel's own translation of classic BPF does.
  [BPF_LSH]: 'lsh',
  [BPF_RSH]: 'rsh',
}

/** What jumps, and what jumps if not; BPF_JSET has no opposite. */
const CONDITIONS: Readonly<Record<number, readonly [Condition, Condition?]>> = {
  [BPF_JEQ]: ['eq', 'ne'],
  [BPF_JGT]: ['gt', 'le'],
  [BPF_JGE]: ['ge', 'lt'],
  [BPF_JSET]: ['set'],
}
