/**
 * The flood as an XDP program and the frame that it starts from. Each run makes one packet: it draws a source address and a
 * source port, writes them and the checksums into the frame, counts, and redirects the frame out of an interface. Checksums
 * are a constant, folded here, plus what varies. Live frames are recycled with whatever the last run left in them, so every
 * run writes every field that differs between packets. Pure; the kernel sees it in kernel/bpf-program.ts.
 */
import { BPF_FUNC_get_smp_processor_id, BPF_FUNC_redirect, XDP_ABORTED, XDP_MD } from '../kernel/abi/ebpf.js'
import { alu, call, exit, jump, jumpIf, label, load, loadImmediate64, loadMapValue, type Register, type Statement, store, toBigEndian } from './ebpf.js'

export const FLOOD_KINDS = ['syn', 'udp', 'icmp', 'mix'] as const
/** `mix` draws the kind of each packet: half SYN, a quarter UDP, a quarter ICMP. */
export type FloodKind = (typeof FLOOD_KINDS)[number]
type PacketKind = Exclude<FloodKind, 'mix'>

export const MIN_FRAME_BYTES = 60
export const MAX_FRAME_BYTES = 1514

/** Source addresses are SOURCE_BASE to SOURCE_BASE + sources - 1. */
export const SOURCE_BASE = 0x0a00_0000
/** All of 10.0.0.0/8. */
export const MAX_SOURCES = 2 ** 24
/** 198.18.0.1, of the range for benchmarks (RFC 2544). */
export const DESTINATION = 0xc612_0001
export const DESTINATION_PORT = 80
/** Source ports are 1024 to 65535. */
export const FIRST_SOURCE_PORT = 1024

/** What the program keeps for each CPU, in 64-bit words: packets made, and the state of the random numbers. A cache line each. */
export const FLOOD_STATE = { made: 0, random: 1, words: 8 } as const
const STATE_SHIFT = 6

export interface FloodProgramOptions {
  kind: FloodKind
  /** Bytes of the frame without FCS, MIN_FRAME_BYTES to MAX_FRAME_BYTES, a VLAN tag included. */
  frameBytes: number
  /** 1 to MAX_SOURCES. */
  sources: number
  destinationMac: Uint8Array
  sourceMac: Uint8Array
  /** Identifier of an 802.1Q tag, 0 to 4095. */
  vlan?: number | undefined
  /** Index of the interface that frames leave by. */
  interfaceIndex: number
  /** CPUs that the map has room for; on others the program does nothing. */
  stateCpus: number
}

export interface FloodProgram {
  /** They name one map, `state`: an array whose one value holds a FLOOD_STATE for each CPU from 0. */
  statements: Statement[]
  /** What live frames start as. Source address, source port and checksums are still 0. */
  frame: Uint8Array<ArrayBuffer>
}

const ETHERTYPE_IPV4 = 0x0800
const ETHERTYPE_VLAN = 0x8100
const MAC_BYTES = 12
const IP_BYTES = 20
const IP = { totalLength: 2, fragment: 6, ttl: 8, protocol: 9, checksum: 10, source: 12, destination: 16 } as const
const DONT_FRAGMENT = 0x4000

interface Transport {
  protocol: number
  headerBytes: number
  /** Where the 16 bits that vary are: a port, or ICMP's identifier. */
  varying: number
  checksum: number
  /** TCP and UDP sum the addresses too. */
  pseudoHeader: boolean
}

const TRANSPORTS: Readonly<Record<PacketKind, Transport>> = {
  syn: { protocol: 6, headerBytes: 20, varying: 0, checksum: 16, pseudoHeader: true },
  udp: { protocol: 17, headerBytes: 8, varying: 0, checksum: 6, pseudoHeader: true },
  icmp: { protocol: 1, headerBytes: 8, varying: 4, checksum: 2, pseudoHeader: false },
}

/** The longest transport header: `mix` writes as much of each frame anew. */
const TRANSPORT_BYTES = 20

/** Knuth's MMIX generator. Only its upper bits are used: the lower the bit, the shorter its period. */
const MULTIPLIER = 6364136223846793005n
const INCREMENT = 1442695040888963407n

/** The frame of one kind, source address, source port and checksums 0. Byte i of the payload is i mod 256, counted from the frame's start. */
export function frameTemplate(
  kind: PacketKind,
  options: Pick<FloodProgramOptions, 'frameBytes' | 'destinationMac' | 'sourceMac' | 'vlan'>,
): Uint8Array<ArrayBuffer> {
  const frame = Uint8Array.from({ length: options.frameBytes }, (_, index) => index & 0xff)
  const view = new DataView(frame.buffer)
  const transport = TRANSPORTS[kind]
  const ip = ipOffset(options)
  const l4 = ip + IP_BYTES
  frame.set(options.destinationMac, 0)
  frame.set(options.sourceMac, 6)
  if (options.vlan !== undefined) {
    view.setUint16(MAC_BYTES, ETHERTYPE_VLAN)
    view.setUint16(MAC_BYTES + 2, options.vlan)
  }
  view.setUint16(ip - 2, ETHERTYPE_IPV4)

  frame.fill(0, ip, l4 + transport.headerBytes)
  frame[ip] = 0x45
  view.setUint16(ip + IP.totalLength, frame.length - ip)
  view.setUint16(ip + IP.fragment, DONT_FRAGMENT)
  frame[ip + IP.ttl] = 64
  frame[ip + IP.protocol] = transport.protocol
  view.setUint32(ip + IP.destination, DESTINATION)

  if (kind === 'icmp') frame[l4] = 8
  else view.setUint16(l4 + 2, DESTINATION_PORT)
  if (kind === 'udp') view.setUint16(l4 + 4, frame.length - l4)
  if (kind === 'syn') {
    frame[l4 + 12] = (TRANSPORT_BYTES / 4) << 4
    frame[l4 + 13] = 0x02
    view.setUint16(l4 + 14, 65535)
  }
  return frame
}

function ipOffset(options: { vlan?: number | undefined }): number {
  return MAC_BYTES + 2 + (options.vlan === undefined ? 0 : 4)
}

/** Sum of big-endian 16-bit words, an odd last byte as the upper half of one; not folded. */
export function sum16(bytes: Uint8Array): number {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] as number) << 8) | (bytes[at + 1] ?? 0)
  return sum
}

/** The program and its frame. Options are taken as they are; testbed/flood.ts checks them. */
export function floodProgram(options: FloodProgramOptions): FloodProgram {
  const kinds: PacketKind[] = options.kind === 'mix' ? ['syn', 'udp', 'icmp'] : [options.kind]
  const ip = ipOffset(options)
  const l4 = ip + IP_BYTES
  const templates = new Map(kinds.map((kind) => [kind, frameTemplate(kind, options)]))
  const first = templates.get(kinds[0] as PacketKind) as Uint8Array<ArrayBuffer>

  const statements: Statement[] = [
    // r6 frame, r7 state, r8 random number, r9 source address, r5 its two halves added up
    load('w', 'r6', 'r1', XDP_MD.data),
    load('w', 'r2', 'r1', XDP_MD.data_end),
    alu('mov', 'r3', 'r6'),
    alu('add', 'r3', l4 + TRANSPORT_BYTES),
    jumpIf('gt', 'r3', 'r2', 'short'),

    call(BPF_FUNC_get_smp_processor_id),
    jumpIf('ge', 'r0', options.stateCpus, 'short'),
    alu('lsh', 'r0', STATE_SHIFT),
    loadMapValue('r7', 'state', 0),
    alu('add', 'r7', 'r0'),
    load('dw', 'r3', 'r7', FLOOD_STATE.made * 8),
    alu('add', 'r3', 1),
    store('dw', 'r7', FLOOD_STATE.made * 8, 'r3'),
    load('dw', 'r8', 'r7', FLOOD_STATE.random * 8),
    loadImmediate64('r3', MULTIPLIER),
    alu('mul', 'r8', 'r3'),
    loadImmediate64('r3', INCREMENT),
    alu('add', 'r8', 'r3'),
    store('dw', 'r7', FLOOD_STATE.random * 8, 'r8'),

    // The upper 32 bits times the number of sources, divided by 2^32: evenly spread without a division.
    alu('mov', 'r9', 'r8'),
    alu('rsh', 'r9', 32),
    alu('mul', 'r9', options.sources),
    alu('rsh', 'r9', 32),
    alu('add', 'r9', SOURCE_BASE),
    alu('mov', 'r5', 'r9'),
    alu('rsh', 'r5', 16),
    alu('mov', 'r3', 'r9'),
    alu('and', 'r3', 0xffff),
    alu('add', 'r5', 'r3'),
    toBigEndian('r9', 32),
    store('w', 'r6', ip + IP.source, 'r9'),

    // The same for the port, of the next 16 bits.
    alu('mov', 'r4', 'r8'),
    alu('rsh', 'r4', 16),
    alu('and', 'r4', 0xffff),
    alu('mul', 'r4', 65536 - FIRST_SOURCE_PORT),
    alu('rsh', 'r4', 16),
    alu('add', 'r4', FIRST_SOURCE_PORT),
  ]
  // NB: a receiver takes a VLAN tag out by moving the addresses over it, in this very frame.
  if (options.vlan !== undefined) statements.push(...writeConstant(first, 0, ip))
  if (options.kind === 'mix') {
    statements.push(alu('rsh', 'r8', 14), jumpIf('set', 'r8', 1, 'syn'), jumpIf('set', 'r8', 2, 'udp'), jump('icmp'))
  }
  for (const kind of kinds) {
    const template = templates.get(kind) as Uint8Array
    statements.push(label(kind))
    if (options.kind === 'mix') {
      statements.push(store('b', 'r6', ip + IP.protocol, TRANSPORTS[kind].protocol), ...writeConstant(template, l4, l4 + TRANSPORT_BYTES))
    }
    statements.push(...writeVarying(kind, template, ip))
    if (kind !== kinds.at(-1)) statements.push(jump('send'))
  }
  statements.push(
    label('send'),
    alu('mov', 'r1', options.interfaceIndex),
    alu('mov', 'r2', 0),
    call(BPF_FUNC_redirect),
    exit(),
    label('short'),
    alu('mov', 'r0', XDP_ABORTED),
    exit(),
  )
  return { statements, frame: first }
}

/** Bytes `from` to `to` (a multiple of 2 apart) of the template, written as they are. */
function writeConstant(template: Uint8Array, from: number, to: number): Statement[] {
  const view = new DataView(template.buffer, template.byteOffset, template.byteLength)
  const statements: Statement[] = []
  for (let at = from; at < to; ) {
    const word = at + 4 <= to
    statements.push(word ? store('w', 'r6', at, view.getInt32(at, true)) : store('h', 'r6', at, view.getUint16(at, true)))
    at += word ? 4 : 2
  }
  return statements
}

/** Port and checksums. In: r4 port, r5 halves of the source address. */
function writeVarying(kind: PacketKind, template: Uint8Array, ip: number): Statement[] {
  const l4 = ip + IP_BYTES
  const transport = TRANSPORTS[kind]
  let constant = sum16(template.subarray(l4))
  if (transport.pseudoHeader) constant += (DESTINATION >>> 16) + (DESTINATION & 0xffff) + transport.protocol + (template.length - l4)
  const statements: Statement[] = [
    alu('mov', 'r3', 'r5'),
    alu('add', 'r3', fold(sum16(template.subarray(ip, l4)))),
    ...complement('r3'),
    toBigEndian('r3', 16),
    store('h', 'r6', ip + IP.checksum, 'r3'),
    alu('mov', 'r3', 'r4'),
    alu('add', 'r3', fold(constant)),
  ]
  if (transport.pseudoHeader) statements.push(alu('add', 'r3', 'r5'))
  statements.push(...complement('r3'))
  // A UDP checksum of 0 means that there is none: its other form is sent.
  if (kind === 'udp') statements.push(jumpIf('ne', 'r3', 0, 'summed'), alu('mov', 'r3', 0xffff), label('summed'))
  statements.push(toBigEndian('r3', 16), store('h', 'r6', l4 + transport.checksum, 'r3'), toBigEndian('r4', 16), store('h', 'r6', l4 + transport.varying, 'r4'))
  return statements
}

/** The one's complement of a sum below 2^32, 16 bits; uses r2. */
function complement(register: Register): Statement[] {
  const foldOnce: Statement[] = [alu('mov', 'r2', register), alu('rsh', 'r2', 16), alu('and', register, 0xffff), alu('add', register, 'r2')]
  return [...foldOnce, ...foldOnce, alu('xor', register, 0xffff)]
}

function fold(sum: number): number {
  let folded = sum
  while (folded > 0xffff) folded = (folded >>> 16) + (folded & 0xffff)
  return folded
}
