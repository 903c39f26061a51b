/** Classic BPF programs to compare interpreters with: random ones that the kernel takes, and what tcpdump makes of expressions. */
import { spawnSync } from 'node:child_process'
import type { Instruction } from '#src/bpf/classic.js'
import { parseProgram } from '#src/bpf/classic-text.js'
import type { Random } from './random.js'

export interface RandomProgramOptions {
  /** Ancillary loads by their number that may stand in it. Default: none. */
  ancillary?: readonly number[]
  /** Offsets that count from a header may. Default: no. */
  headerOffsets?: boolean
  /** Default 40. */
  maxLength?: number
}

const CONSTANTS = [0, 1, 2, 3, 4, 6, 14, 17, 31, 32, 80, 255, 256, 0x800, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff]
const ALU = [0x04, 0x14, 0x24, 0x34, 0x44, 0x54, 0x64, 0x74, 0x94, 0xa4]
const JUMPS = [0x15, 0x25, 0x35, 0x45]

/** With every code that there is. A word of memory is read only where it has been written, as the kernel demands. */
export function randomProgram(random: Random, options: RandomProgramOptions = {}): Instruction[] {
  const length = random.between(2, options.maxLength ?? 40)
  const program: Instruction[] = []
  const onArrival = new Array<number>(length).fill(0xffff)
  let written = 0
  const constant = () => (random.oneIn(3) ? random.word() : random.oneIn(2) ? random.between(0, 255) : random.pick(CONSTANTS))
  const offset = () => {
    if (options.headerOffsets === true && random.oneIn(6)) {
      return (random.pick([-0x100000, -0x200000, -0x100000 - 20, -0x200001, -0x80000000]) + random.between(0, 40)) >>> 0
    }
    return random.oneIn(12) ? random.pick([100, 1000, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fff_ffff, 0x7fff_fffc]) : random.between(0, 60)
  }
  const make = (index: number): Instruction => {
    const following = length - index - 1
    const distance = () => (random.oneIn(2) ? 0 : Math.min(following - 1, random.between(0, random.oneIn(4) ? 255 : 6)))
    const words = Array.from({ length: 16 }, (_, word) => word).filter((word) => (written & (1 << word)) !== 0)
    switch (random.between(0, 19)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return [random.pick([0x20, 0x28, 0x30]), 0, 0, offset()]
      case 4:
      case 5:
        return [random.pick([0x40, 0x48, 0x50]), 0, 0, random.oneIn(8) ? random.pick([0xffff_ffff, 0xffff_fff0, 0x7fff_fff0]) : offset()]
      case 6:
        return [0xb1, 0, 0, offset()]
      case 7:
        return random.pick<Instruction>([
          [0x01, 0, 0, random.oneIn(3) ? constant() : random.between(0, 40)],
          [0x00, 0, 0, constant()],
          [0x80, 0, 0, 0],
          [0x81, 0, 0, 0],
        ])
      case 8:
        return [random.pick([0x07, 0x87]), 0, 0, 0]
      case 9:
        // Keeps values small: only then are they offsets.
        return random.pick<Instruction>([
          [0x54, 0, 0, random.pick([0x0f, 0x1f, 0x3f, 0xff])],
          [0x74, 0, 0, random.between(0, 31)],
        ])
      case 10:
        if (words.length > 0) return [random.pick([0x60, 0x61]), 0, 0, random.pick(words)]
        return [random.pick([0x02, 0x03]), 0, 0, random.between(0, 15)]
      case 11:
        return [random.pick([0x02, 0x03]), 0, 0, random.between(0, 15)]
      case 12:
      case 13: {
        const code = random.pick(ALU)
        if (random.oneIn(2)) return [code | 0x08, 0, 0, 0]
        if (code === 0x64 || code === 0x74) return [code, 0, 0, random.between(0, 31)]
        const k = constant()
        return [code, 0, 0, (code === 0x34 || code === 0x94) && k === 0 ? 1 : k]
      }
      case 14:
        if (options.ancillary !== undefined && random.oneIn(2)) return [random.pick([0x20, 0x28, 0x30]), 0, 0, (-0x1000 + random.pick(options.ancillary)) >>> 0]
        return [0x84, 0, 0, 0]
      case 15:
        if (random.oneIn(4)) return random.oneIn(2) ? [0x16, 0, 0, 0] : [0x06, 0, 0, random.pick([0, 0, 1, 20, 60, 0x7fff_ffff, 0xffff_ffff])]
        return [0x05, 0, 0, Math.min(following - 1, random.between(0, 3))]
      default:
        return [random.pick(JUMPS) | (random.oneIn(4) ? 0x08 : 0), distance(), distance(), constant()]
    }
  }
  for (let index = 0; index < length - 1; index++) {
    written &= onArrival[index] as number
    const instruction = make(index)
    program.push(instruction)
    const [code, jt, jf, k] = instruction
    if (code === 0x02 || code === 0x03) written |= 1 << k
    if ((code & 0x07) !== 0x05) continue
    for (const distance of code === 0x05 ? [k] : [jt, jf]) onArrival[index + 1 + distance] = (onArrival[index + 1 + distance] as number) & written
    written = 0xffff
  }
  program.push(random.oneIn(3) ? [0x16, 0, 0, 0] : [0x06, 0, 0, random.pick([0, 1, 30, 50, 0xffff_ffff])])
  return program
}

/** What tcpdump makes of an expression; undefined where it refuses. */
export function tcpdumpProgram(expression: string, ...options: string[]): Instruction[] | undefined {
  const printed = tcpdumpText('-ddd', expression, ...options)
  return printed === undefined ? undefined : parseProgram(printed)
}

export function tcpdumpText(style: '-d' | '-dd' | '-ddd', expression: string, ...options: string[]): string | undefined {
  const { status, stdout } = spawnSync('tcpdump', [style, '-y', 'EN10MB', ...options, expression], { encoding: 'utf8' })
  return status === 0 ? stdout : undefined
}

const PRIMITIVES = [
  'ip',
  'ip6',
  'arp',
  'rarp',
  'tcp',
  'udp',
  'sctp',
  'icmp',
  'icmp6',
  'igmp',
  'ah',
  'esp',
  'vrrp',
  'stp',
  'ipx',
  'iso',
  'llc',
  'broadcast',
  'multicast',
  'ip multicast',
  'ip6 multicast',
  'host 10.0.0.1',
  'src host 10.0.0.2',
  'dst host 192.168.1.1',
  'net 10.0.0.0/8',
  'src net 192.168.0.0/16',
  'host 2001:db8::1',
  'net 2001:db8::/32',
  'src host fe80::1',
  'port 80',
  'src port 53',
  'dst port 443',
  'tcp port 22',
  'udp port 53',
  'sctp port 1000',
  'portrange 20-80',
  'tcp dst portrange 1000-9000',
  'less 80',
  'greater 60',
  'len > 70',
  'ether host 00:00:00:00:00:01',
  'ether dst 02:00:5e:10:00:01',
  'ether proto 0x88cc',
  'ether[0] & 1 = 1',
  'proto 47',
  'ip proto 6',
  'ip6 proto 17',
  'ip protochain 6',
  'tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn',
  'tcp[13] & 7 != 0',
  'icmp[icmptype] == icmp-echo',
  'ip[0] & 0xf != 5',
  'ip[6:2] & 0x1fff = 0',
  'ip[2:2] > 60',
  'udp[4:2] = 8 + 4',
  'ip[8] < 64',
  'ip6[6] = 44',
  'ip[ip[0] & 0xf] = 1',
  'tcp[(tcp[12] & 0xf0) >> 2] = 0x47',
  'len % 7 = 3',
  'ip[8] * 3 > ip[9] + 40',
  'ip[9] ^ 0x0f = 9',
  '(ip[8] << 2) - ip[9] > 30',
  'ip[2:2] / 10 = 4',
  '0 - ip[8] > 4294967200',
  'pppoes and ip',
  'pppoes 7',
  'mpls',
  'mpls 100',
  'mpls and mpls 1000 and ip',
  'vlan',
  'vlan 5',
  'vlan and ip',
  'vlan and tcp port 80',
  'vlan 1 and vlan 100 and udp',
  'geneve',
  'llc',
  'llc u',
] as const

/** An expression of some primitives. Those that shift offsets (vlan, mpls, pppoes) do so in libpcap for what is behind them, too. */
export function randomExpression(random: Random): string {
  const part = (depth: number): string => {
    if (depth === 0 || random.oneIn(3)) return `${random.oneIn(6) ? 'not ' : ''}${random.pick(PRIMITIVES)}`
    const parts = Array.from({ length: random.between(2, 3) }, () => part(depth - 1))
    return `${random.oneIn(8) ? 'not ' : ''}(${parts.join(random.oneIn(2) ? ' and ' : ' or ')})`
  }
  return part(random.between(0, 2))
}

export const EXPRESSIONS: readonly string[] = PRIMITIVES
