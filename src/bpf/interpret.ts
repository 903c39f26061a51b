/**
 * Classic BPF, one instruction after the other: what the compiled forms are compared with. Where the kernel (net/core/filter.c) and
 * libpcap's bpf_filter() differ, as the kernel does. Pure.
 *
 * - A shift by X counts modulo 32; in libpcap one by 32 or more gives 0.
 * - X + k counts modulo 2^32, so that a k of -1 reads the byte before X; libpcap rejects the packet.
 * - A load that ends behind the captured bytes, and a division by an X of 0, reject the packet in both.
 */
import {
  BPF_A,
  BPF_ABS,
  BPF_ADD,
  BPF_ALU,
  BPF_AND,
  BPF_B,
  BPF_DIV,
  BPF_H,
  BPF_IND,
  BPF_JA,
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JMP,
  BPF_JSET,
  BPF_LD,
  BPF_LDX,
  BPF_LEN,
  BPF_LSH,
  BPF_MEM,
  BPF_MEMWORDS,
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
  BPF_TXA,
  BPF_X,
  BPF_XOR,
  SKF_AD_ALU_XOR_X,
  SKF_AD_CPU,
  SKF_AD_HATYPE,
  SKF_AD_IFINDEX,
  SKF_AD_MARK,
  SKF_AD_OFF,
  SKF_AD_PAY_OFFSET,
  SKF_AD_PKTTYPE,
  SKF_AD_PROTOCOL,
  SKF_AD_QUEUE,
  SKF_AD_RANDOM,
  SKF_AD_RXHASH,
  SKF_AD_VLAN_TAG,
  SKF_AD_VLAN_TAG_PRESENT,
  SKF_AD_VLAN_TPID,
  SKF_LL_OFF,
  SKF_NET_OFF,
} from '../kernel/abi/filter.js'
import type { Instruction } from './classic.js'

/**
 * What the kernel knows of a packet beside its bytes, by the names that a PacketView has: one may be given as it is. A program
 * that asks for what is not there rejects the packet, as libpcap's bpf_filter() does.
 */
export interface Ancillary {
  /** SKF_AD_PROTOCOL: the EtherType, behind a tag that the kernel took out. */
  readonly protocol?: number | undefined
  /** SKF_AD_PKTTYPE: PACKET_HOST to PACKET_OUTGOING. */
  readonly packetType?: number | undefined
  /** SKF_AD_IFINDEX. */
  readonly interfaceIndex?: number | undefined
  /** SKF_AD_MARK. */
  readonly mark?: number | undefined
  /** SKF_AD_QUEUE: the receive queue plus 1, 0 where none is known. */
  readonly queue?: number | undefined
  /** SKF_AD_HATYPE: ARPHRD_*. */
  readonly hardwareType?: number | undefined
  /** SKF_AD_RXHASH. */
  readonly rxhash?: number | undefined
  /** SKF_AD_CPU: the one that runs the filter. */
  readonly cpu?: number | undefined
  /** SKF_AD_VLAN_TAG_PRESENT. */
  readonly hasVlan?: boolean | undefined
  /** SKF_AD_VLAN_TAG. */
  readonly vlanTci?: number | undefined
  /** SKF_AD_VLAN_TPID. */
  readonly vlanTpid?: number | undefined
  /** SKF_AD_PAY_OFFSET: where the kernel's flow dissector sees the payload begin. */
  readonly payloadOffset?: number | undefined
  /** SKF_AD_RANDOM. */
  readonly random?: number | undefined
  /** Where SKF_NET_OFF counts from, in bytes from the packet's beginning. Default 14, behind Ethernet's header. */
  readonly networkOffset?: number | undefined
}

export const DEFAULT_NETWORK_OFFSET = 14

/** The fields of an skb that ancillary loads read, and as many bits as they have there. Netlink attributes are not offered. */
export const ANCILLARY_FIELDS: ReadonlyMap<number, { readonly name: Exclude<keyof Ancillary, 'networkOffset'>; readonly mask: number }> = new Map([
  [SKF_AD_PROTOCOL, { name: 'protocol', mask: 0xffff }],
  [SKF_AD_PKTTYPE, { name: 'packetType', mask: 7 }],
  [SKF_AD_IFINDEX, { name: 'interfaceIndex', mask: 0xffff_ffff }],
  [SKF_AD_MARK, { name: 'mark', mask: 0xffff_ffff }],
  [SKF_AD_QUEUE, { name: 'queue', mask: 0xffff }],
  [SKF_AD_HATYPE, { name: 'hardwareType', mask: 0xffff }],
  [SKF_AD_RXHASH, { name: 'rxhash', mask: 0xffff_ffff }],
  [SKF_AD_CPU, { name: 'cpu', mask: 0xffff_ffff }],
  [SKF_AD_VLAN_TAG_PRESENT, { name: 'hasVlan', mask: 1 }],
  [SKF_AD_VLAN_TAG, { name: 'vlanTci', mask: 0xffff }],
  [SKF_AD_VLAN_TPID, { name: 'vlanTpid', mask: 0xffff }],
  [SKF_AD_PAY_OFFSET, { name: 'payloadOffset', mask: 0xffff_ffff }],
  [SKF_AD_RANDOM, { name: 'random', mask: 0xffff_ffff }],
])

/** Whether k of an absolute load means a field of the skb, or A ^= X. */
export function isAncillary(k: number): boolean {
  return k >= SKF_AD_OFF >>> 0
}

/** Bytes of a load: 4, 2 or 1. */
export function loadBytes(code: number): 1 | 2 | 4 {
  const size = code & 0x18
  return size === BPF_B ? 1 : size === BPF_H ? 2 : 4
}

/**
 * From the operand of a load, as 32 signed bits, to bytes from the packet's beginning; negative where there is no packet. The
 * kernel counts from SKF_NET_OFF up from the network header, from SKF_LL_OFF up from the link-layer header.
 */
export function resolveOffset(at: number, networkOffset: number): number {
  if (at >= 0) return at
  if (at >= SKF_NET_OFF) return at - SKF_NET_OFF + networkOffset
  return at - SKF_LL_OFF
}

const MEMORY = new Int32Array(BPF_MEMWORDS)

/**
 * Runs a program that validateProgram takes on the packet that begins at `offset` of `bytes`. Answers how many of its bytes are
 * accepted, 0 for none. Allocates nothing.
 */
export function interpret(
  program: readonly Instruction[],
  bytes: Uint8Array,
  offset: number,
  capturedLength: number,
  wireLength: number,
  ancillary?: Ancillary,
): number {
  let a = 0
  let x = 0
  for (let pc = 0; pc < program.length; pc++) {
    const instruction = program[pc] as Instruction
    const code = instruction[0]
    const k = instruction[3] | 0
    switch (code & 0x07) {
      case BPF_LD: {
        const mode = code & 0xe0
        if (mode === BPF_ABS && isAncillary(instruction[3])) {
          if (k === SKF_AD_OFF + SKF_AD_ALU_XOR_X) {
            a ^= x
            break
          }
          const field = ANCILLARY_FIELDS.get(k - SKF_AD_OFF)
          const value = field === undefined ? undefined : ancillary?.[field.name]
          if (field === undefined || value === undefined) return 0
          a = Number(value) & field.mask
        } else if (mode === BPF_ABS || mode === BPF_IND) {
          let at = mode === BPF_IND ? (x + k) | 0 : k
          // Only then, so that a caller may see whether a header was asked for.
          if (at < 0) at = resolveOffset(at, ancillary?.networkOffset ?? DEFAULT_NETWORK_OFFSET)
          const size = loadBytes(code)
          if (at < 0 || at > capturedLength - size) return 0
          a = 0
          for (let byte = 0; byte < size; byte++) a = (a << 8) | (bytes[offset + at + byte] as number)
        } else if (mode === BPF_LEN) a = wireLength | 0
        else a = mode === BPF_MEM ? (MEMORY[k] as number) : k
        break
      }
      case BPF_LDX: {
        const mode = code & 0xe0
        if (mode === BPF_MSH) {
          const at = k < 0 ? resolveOffset(k, ancillary?.networkOffset ?? DEFAULT_NETWORK_OFFSET) : k
          if (at < 0 || at >= capturedLength) return 0
          x = ((bytes[offset + at] as number) & 0x0f) << 2
        } else if (mode === BPF_LEN) x = wireLength | 0
        else x = mode === BPF_MEM ? (MEMORY[k] as number) : k
        break
      }
      case BPF_ST:
        MEMORY[k] = a
        break
      case BPF_STX:
        MEMORY[k] = x
        break
      case BPF_ALU: {
        const operand = (code & BPF_X) !== 0 ? x : k
        const operation = code & 0xf0
        if (operand === 0 && (operation === BPF_DIV || operation === BPF_MOD)) return 0
        a = calculate(operation, a, operand)
        break
      }
      case BPF_JMP: {
        const operation = code & 0xf0
        if (operation === BPF_JA) pc += k
        else pc += compare(operation, a, (code & BPF_X) !== 0 ? x : k) ? instruction[1] : instruction[2]
        break
      }
      case BPF_RET:
        return ((code & 0x18) === BPF_A ? a : k) >>> 0
      default:
        if ((code & 0xf8) === BPF_TXA) a = x
        else x = a
    }
  }
  return 0
}

function calculate(operation: number, a: number, operand: number): number {
  switch (operation) {
    case BPF_ADD:
      return (a + operand) | 0
    case BPF_SUB:
      return (a - operand) | 0
    case BPF_MUL:
      return Math.imul(a, operand)
    case BPF_DIV:
      return ((a >>> 0) / (operand >>> 0)) | 0
    case BPF_MOD:
      return ((a >>> 0) % (operand >>> 0)) | 0
    case BPF_AND:
      return a & operand
    case BPF_OR:
      return a | operand
    case BPF_XOR:
      return a ^ operand
    case BPF_LSH:
      return a << operand
    case BPF_RSH:
      return (a >>> operand) | 0
    case BPF_NEG:
      return -a | 0
    default:
      return a
  }
}

function compare(operation: number, a: number, operand: number): boolean {
  switch (operation) {
    case BPF_JEQ:
      return a === operand
    case BPF_JGT:
      return a >>> 0 > operand >>> 0
    case BPF_JGE:
      return a >>> 0 >= operand >>> 0
    case BPF_JSET:
      return (a & operand) !== 0
    default:
      return false
  }
}
