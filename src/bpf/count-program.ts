/**
 * An XDP program that counts frames by protocol, each CPU for itself, and passes or drops them. One look at the ends of the frame
 * decides whether all that is usual (no tag, one, two; IPv4 without options, IPv6) can be read where it stands; whatever is not
 * usual takes the careful way, which reads piece by piece. Pure; loading is in kernel/bpf-program.ts.
 */
import { BPF_FUNC_map_lookup_elem, BPF_FUNC_xdp_get_buff_len, BPF_FUNC_xdp_load_bytes, XDP_DROP, XDP_MD, XDP_PASS } from '../kernel/abi/ebpf.js'
import { alu, call, exit, jump, jumpIf, label, load, loadMap, type Register, type Statement, store } from './ebpf.js'

/**
 * What a frame is counted as; the number of a class is its place here. Up to two VLAN tags (0x8100, 0x88a8) are passed over.
 *
 * - `tcpSyn`: TCP with SYN and without ACK; `tcp`: all other TCP
 * - `udp`, `icmp`: by protocol number; ICMPv6 is `icmp`
 * - `fragment`: IPv4 with MF or an offset, IPv6 whose next header is the fragment header, whatever they carry
 * - `ipv4`, `ipv6`: all other IP, so IPv6 with other extension headers, too, and IP that cannot be read: the header is cut off or
 *   wrong, or TCP ends before its flags
 * - `other`: any other EtherType, three tags, frames that end within Ethernet
 */
export const COUNT_CLASSES = ['tcpSyn', 'tcp', 'udp', 'icmp', 'fragment', 'ipv4', 'ipv6', 'arp', 'other'] as const
export type CountClass = (typeof COUNT_CLASSES)[number]

/** What the map holds of each class on each CPU, in 64-bit words. */
export const COUNT = { packets: 0, bytes: 1, words: 2 } as const

export interface CountProgramOptions {
  /** What becomes of the frames. */
  action: 'pass' | 'drop'
  /**
   * Frames may lie in several buffers, of which only the first can be seen: their length and what is not in there come from
   * helpers. Linux 5.18; to be loaded with BPF_F_XDP_HAS_FRAGS. Without it, CAP_PERFMON is needed to load.
   */
  multiBuffer: boolean
}

/** The map of the program, `counts`: a value for each of COUNT_CLASSES. */
export const COUNT_MAP = {
  name: 'ringtap_count',
  type: 'percpu_array',
  keyBytes: 4,
  valueBytes: COUNT.words * 8,
  maxEntries: COUNT_CLASSES.length,
} as const

const ETHERNET_BYTES = 14
const TAG_BYTES = 4
const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd, serviceVlan: 0x88a8 } as const
const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, fragment: 44, icmpv6: 58 } as const
const IPV4 = { fragment: 6, protocol: 9, sizeof: 20 } as const
const IPV6 = { nextHeader: 6, sizeof: 40 } as const
const MORE_FRAGMENTS_OR_OFFSET = 0x3fff
const TCP_FLAGS = 13
const SYN = 0x02
const SYN_OR_ACK = 0x12

/** The stack: the class, and what the careful way has read. */
const KEY = -4
const PIECE = -48

/** A big-endian number of 16 bits as a load shows it. */
function swapped(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8)
}

/** r6 is the context, r7 the length of the frame or, in the careful way, where its network header begins. */
export function countProgram(options: CountProgramOptions): Statement[] {
  return [
    alu('mov', 'r6', 'r1'),
    load('w', 'r2', 'r6', XDP_MD.data),
    load('w', 'r3', 'r6', XDP_MD.data_end),
    ...usual(0, [...classes('tcpSyn'), ...add(options)]),
    ...usual(1),
    ...usual(2),
    ...careful(options),
    ...COUNT_CLASSES.slice(1).flatMap((it) => [...classes(it), jump('add')]),
  ]
}

/** The end of each way: the class becomes the key. */
function classes(name: CountClass): Statement[] {
  return [label(name), store('w', 'r10', KEY, COUNT_CLASSES.indexOf(name))]
}

function add({ action, multiBuffer }: CountProgramOptions): Statement[] {
  const length: Statement[] = multiBuffer
    ? [alu('mov', 'r1', 'r6'), call(BPF_FUNC_xdp_get_buff_len), alu('mov', 'r7', 'r0')]
    : [load('w', 'r2', 'r6', XDP_MD.data), load('w', 'r7', 'r6', XDP_MD.data_end), alu('sub', 'r7', 'r2')]
  const plus = (word: number, operand: Register | number): Statement[] => [
    load('dw', 'r1', 'r0', word * 8),
    alu('add', 'r1', operand),
    store('dw', 'r0', word * 8, 'r1'),
  ]
  return [
    label('add'),
    ...length,
    loadMap('r1', 'counts'),
    alu('mov', 'r2', 'r10'),
    alu('add', 'r2', KEY),
    call(BPF_FUNC_map_lookup_elem),
    jumpIf('eq', 'r0', 0, 'end'),
    // No other program runs on this CPU meanwhile.
    ...plus(COUNT.packets, 1),
    ...plus(COUNT.bytes, 'r7'),
    label('end'),
    alu('mov', 'r0', action === 'drop' ? XDP_DROP : XDP_PASS),
    exit(),
  ]
}

/** A frame with so many tags that is whole as far as we look, at fixed offsets. In: r2 and r3, its ends. `syn` is what follows for a SYN. */
function usual(tags: number, syn: readonly Statement[] = [jump('tcpSyn')]): Statement[] {
  const network = ETHERNET_BYTES + tags * TAG_BYTES
  const here = (name: string) => `${name} after ${tags} tags`
  const within = (bytes: number): Statement[] => [alu('mov', 'r4', 'r2'), alu('add', 'r4', bytes), jumpIf('gt', 'r4', 'r3', 'careful')]
  const flags = (at: number): Statement[] => [load('b', 'r4', 'r2', at + TCP_FLAGS), alu('and', 'r4', SYN_OR_ACK)]
  return [
    label(here('ethernet')),
    ...within(network + IPV4.sizeof + TCP_FLAGS + 1),
    load('h', 'r4', 'r2', network - 2),
    jumpIf('ne', 'r4', swapped(ETHERTYPE.ipv4), here('not IPv4')),
    load('b', 'r4', 'r2', network),
    jumpIf('ne', 'r4', 0x45, 'careful'),
    load('h', 'r4', 'r2', network + IPV4.fragment),
    jumpIf('set', 'r4', swapped(MORE_FRAGMENTS_OR_OFFSET), 'fragment'),
    load('b', 'r4', 'r2', network + IPV4.protocol),
    jumpIf('ne', 'r4', PROTOCOL.tcp, here('not TCP')),
    ...flags(network + IPV4.sizeof),
    jumpIf('ne', 'r4', SYN, 'tcp'),
    ...syn,

    label(here('not TCP')),
    jumpIf('eq', 'r4', PROTOCOL.udp, 'udp'),
    jumpIf('eq', 'r4', PROTOCOL.icmp, 'icmp'),
    jump('ipv4'),

    label(here('not IPv4')),
    jumpIf('eq', 'r4', swapped(ETHERTYPE.arp), 'arp'),
    jumpIf('ne', 'r4', swapped(ETHERTYPE.ipv6), here('not IPv6')),
    ...within(network + IPV6.sizeof + TCP_FLAGS + 1),
    ...nextHeader('r2', network),
    ...flags(network + IPV6.sizeof),
    jumpIf('ne', 'r4', SYN, 'tcp'),
    jump('tcpSyn'),

    label(here('not IPv6')),
    ...(tags === 2 ? [] : [ETHERTYPE.vlan, ETHERTYPE.serviceVlan].map((it) => jumpIf('eq', 'r4', swapped(it), `ethernet after ${tags + 1} tags`))),
    jump('other'),
  ]
}

/** Goes on with TCP over IPv6, whose header is at `base` + `at`. Uses r4. */
function nextHeader(base: Register, at: number): Statement[] {
  return [
    load('b', 'r4', base, at),
    alu('and', 'r4', 0xf0),
    jumpIf('ne', 'r4', 0x60, 'ipv6'),
    load('b', 'r4', base, at + IPV6.nextHeader),
    jumpIf('eq', 'r4', PROTOCOL.udp, 'udp'),
    jumpIf('eq', 'r4', PROTOCOL.icmpv6, 'icmp'),
    jumpIf('eq', 'r4', PROTOCOL.fragment, 'fragment'),
    jumpIf('ne', 'r4', PROTOCOL.tcp, 'ipv6'),
  ]
}

/** Any frame: what is read next depends on what was read, and each piece may be missing. */
function careful({ multiBuffer }: CountProgramOptions): Statement[] {
  /** Lets r5 + `base` point to bytes `at` to `at + bytes - 1` from r7 on, or goes to `cut`. */
  const base = multiBuffer ? PIECE : 0
  const piece = (at: number, bytes: number, cut: CountClass): Statement[] =>
    multiBuffer
      ? [
          alu('mov', 'r1', 'r6'),
          alu('mov', 'r2', 'r7'),
          alu('add', 'r2', at),
          alu('mov', 'r3', 'r10'),
          alu('add', 'r3', PIECE),
          alu('mov', 'r4', bytes),
          call(BPF_FUNC_xdp_load_bytes),
          jumpIf('ne', 'r0', 0, cut),
          alu('mov', 'r5', 'r10'),
        ]
      : [
          load('w', 'r5', 'r6', XDP_MD.data),
          load('w', 'r3', 'r6', XDP_MD.data_end),
          alu('add', 'r5', 'r7'),
          alu('add', 'r5', at),
          alu('mov', 'r4', 'r5'),
          alu('add', 'r4', bytes),
          jumpIf('gt', 'r4', 'r3', cut),
        ]
  const etherType: Statement[] = [...piece(-2, 2, 'other'), load('h', 'r4', 'r5', base)]
  const tcp = (cut: CountClass): Statement[] => [
    ...piece(TCP_FLAGS, 1, cut),
    load('b', 'r4', 'r5', base),
    alu('and', 'r4', SYN_OR_ACK),
    jumpIf('eq', 'r4', SYN, 'tcpSyn'),
    jump('tcp'),
  ]
  const tag = (number: number): Statement[] => [
    ...etherType,
    jumpIf('eq', 'r4', swapped(ETHERTYPE.vlan), `tag ${number}`),
    jumpIf('ne', 'r4', swapped(ETHERTYPE.serviceVlan), 'network'),
    label(`tag ${number}`),
    alu('add', 'r7', TAG_BYTES),
  ]
  return [
    label('careful'),
    alu('mov', 'r7', ETHERNET_BYTES),
    ...tag(1),
    ...tag(2),
    ...etherType,
    label('network'),
    jumpIf('eq', 'r4', swapped(ETHERTYPE.ipv4), 'IPv4'),
    jumpIf('eq', 'r4', swapped(ETHERTYPE.ipv6), 'IPv6'),
    jumpIf('eq', 'r4', swapped(ETHERTYPE.arp), 'arp'),
    jump('other'),

    label('IPv4'),
    ...piece(0, IPV4.sizeof, 'ipv4'),
    load('b', 'r4', 'r5', base),
    jumpIf('lt', 'r4', 0x45, 'ipv4'),
    jumpIf('gt', 'r4', 0x4f, 'ipv4'),
    alu('and', 'r4', 0x0f),
    alu('lsh', 'r4', 2),
    load('b', 'r8', 'r5', base + IPV4.protocol),
    load('h', 'r5', 'r5', base + IPV4.fragment),
    alu('add', 'r7', 'r4'),
    jumpIf('set', 'r5', swapped(MORE_FRAGMENTS_OR_OFFSET), 'fragment'),
    // Its options, too, are there.
    ...piece(-1, 1, 'ipv4'),
    jumpIf('eq', 'r8', PROTOCOL.udp, 'udp'),
    jumpIf('eq', 'r8', PROTOCOL.icmp, 'icmp'),
    jumpIf('ne', 'r8', PROTOCOL.tcp, 'ipv4'),
    ...tcp('ipv4'),

    label('IPv6'),
    ...piece(0, IPV6.sizeof, 'ipv6'),
    ...nextHeader('r5', base),
    alu('add', 'r7', IPV6.sizeof),
    ...tcp('ipv6'),
  ]
}
