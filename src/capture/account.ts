/** How a worker's account is settled in the end: packets + drops = what the kernel offered to its socket. */
import type { Kernel } from '../kernel/system.js'
import { PacketAccount } from '../source/packet-account.js'
import { noStatistics, SOCKET_DROPS, type SocketAccount, type SocketDrop, type SourceStatistics } from '../source/source.js'
import { XdpAccount, type XdpAccountSpec } from '../source/xdp-account.js'
import { COUNTER, CounterWriter } from './counters.js'

/** Whose account it is, as plain data. */
export type AccountSpec = { kind: 'ring' | 'recv'; fd: number } | ({ kind: 'xdp' } & XdpAccountSpec)

const DROP_COUNTER: Readonly<Record<SocketDrop, number>> = {
  ring: COUNTER.dropRing,
  socket: COUNTER.dropSocket,
  fillRing: COUNTER.dropFillRing,
  rxRing: COUNTER.dropRxRing,
  oversize: COUNTER.dropOversize,
}

/** What a worker has read from its account according to its counters. */
export function statisticsOf(values: Float64Array): SourceStatistics {
  const statistics = noStatistics()
  statistics.offered = values[COUNTER.offered] as number
  statistics.freezes = values[COUNTER.freezes] as number
  for (const name of SOCKET_DROPS) statistics.drops[name] = values[DROP_COUNTER[name]] as number
  return statistics
}

export function storeStatistics(values: Float64Array, statistics: SourceStatistics): void {
  values[COUNTER.offered] = statistics.offered
  values[COUNTER.freezes] = statistics.freezes
  for (const name of SOCKET_DROPS) values[DROP_COUNTER[name]] = statistics.drops[name]
}

/** Packets that the kernel has put into the ring or the buffer of the socket. */
export function placedOf(values: Float64Array): number {
  let placed = values[COUNTER.offered] as number
  for (const name of SOCKET_DROPS) placed -= values[DROP_COUNTER[name]] as number
  return placed
}

/** Packets that were taken from the source, whatever became of them; `unread` ones before the end are of a block that a worker died over. */
export function consumedOf(values: Float64Array): number {
  return (
    (values[COUNTER.packets] as number) +
    (values[COUNTER.dropHandler] as number) +
    (values[COUNTER.dropConsumer] as number) +
    (values[COUNTER.dropUnread] as number) +
    (values[COUNTER.dropWriter] as number) +
    (values[COUNTER.pending] as number)
  )
}

/** Records of a worker that died, in its buffer: nobody writes them any more. Given up by the handler after they were written: never delivered. */
export function dropPending(values: Float64Array): void {
  const pending = values[COUNTER.pending] as number
  const counter = pending < 0 ? COUNTER.packets : COUNTER.dropWriter
  values[counter] = (values[counter] as number) + pending
  values[COUNTER.pending] = 0
}

/** Settles for a worker that died before it could: all that it had not counted as taken is `unread`. */
export function settleForDead(kernel: Kernel, spec: AccountSpec, counters: SharedArrayBuffer, worker: number): void {
  const writer = new CounterWriter(counters, worker)
  const { values } = writer
  const account = openAccount(kernel, spec, values)
  account.closeGate()
  storeStatistics(values, account.read())
  dropPending(values)
  values[COUNTER.dropUnread] = (values[COUNTER.dropUnread] as number) + Math.max(0, placedOf(values) - consumedOf(values))
  values[COUNTER.handlerSinceMs] = 0
  writer.publish()
}

function openAccount(kernel: Kernel, spec: AccountSpec, values: Float64Array): SocketAccount {
  if (spec.kind === 'xdp') return new XdpAccount(kernel, spec)
  return new PacketAccount(kernel, spec.fd, spec.kind === 'ring' ? 'ring' : 'socket', statisticsOf(values))
}
