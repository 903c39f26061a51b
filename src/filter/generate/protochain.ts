/** A protocol behind extension headers. Pure. */
import { BPF_ADD, BPF_JEQ, BPF_MUL } from '../../kernel/abi/filter.js'
import { all, any, type Condition, effect, test } from '../condition.js'
import type { FlowStatement } from '../flow-graph.js'
import { compute, computeX, loadAbsolute, loadIndirect, loadMemory, loadXHeaderLength, loadXImmediate, store, xFromA } from '../statements.js'
import { ETHERTYPE, IP_PROTOCOL } from './ether-types.js'
import type { Generation } from './generation.js'
import { startOf } from './layers.js'
import { linkProtocol } from './link-protocol.js'

/** libpcap loops over all headers, in programs that the kernel refuses; this many are unrolled here. */
export const PROTOCHAIN_HEADERS = 8

export function protochain(generation: Generation, number: number, version: 'ip' | 'ip6'): Condition {
  const { constant, register } = startOf(generation.layers, 'network')
  if (register !== undefined) generation.fail("'protochain' not supported with variable length headers")
  const nextHeader = generation.passingRegister(new Set())

  // A is the protocol of the header at `constant` + X.
  const is = (protocol: number): Condition => test([], BPF_JEQ, protocol)
  /** The length byte counts units of `unit` bytes, `more` of them less than there are. */
  const advance = (unit: number, more: number): Condition =>
    effect([
      loadIndirect(constant, 1),
      store(nextHeader),
      loadIndirect(constant + 1, 1),
      compute(BPF_ADD, more),
      compute(BPF_MUL, unit),
      computeX(BPF_ADD),
      xFromA(),
      loadMemory(nextHeader),
    ])
  // RFC 8200 counts 8 bytes but the first 8, RFC 4302 has 4 bytes but the first two. A fragment header has a zero in its place.
  const skipAuthentication = all(is(IP_PROTOCOL.ah), advance(4, 2))
  const extensions = [IP_PROTOCOL.hopByHop, IP_PROTOCOL.destinationOptions, IP_PROTOCOL.routing, IP_PROTOCOL.fragment]
  const skipExtension = all(any(...extensions.map(is)), advance(8, 1))
  const skipHeader = version === 'ip6' ? any(skipExtension, skipAuthentication) : skipAuthentication

  let found: Condition = is(number)
  for (let header = 0; header < PROTOCHAIN_HEADERS; header++) found = any(is(number), all(skipHeader, found))

  const first: FlowStatement[] =
    version === 'ip6' ? [loadXImmediate(40), loadAbsolute(constant + 6, 1)] : [loadXHeaderLength(constant), loadAbsolute(constant + 9, 1)]
  return all(linkProtocol(generation, version === 'ip6' ? ETHERTYPE.ip6 : ETHERTYPE.ip), effect(first), found)
}
