/** What a residual may come from other than a loss that no row names. Pure. */
import type { LedgerInterface } from './ledger.js'

export function caveatsOf(it: LedgerInterface, settled: boolean, softnetDropped: number, residual: number): string[] {
  const { name, filter, edges, xdp, merges, outgoing, sent, sentDrops, nic, staleMs } = it
  const { refreshMs } = nic
  const received = nic.counters.find(({ role }) => role === 'received')?.count
  const caveats: string[] = []
  if (!settled) caveats.push('the capture runs: what is on its way is a difference')
  if (filter && xdp === undefined) caveats.push('what did not match the filter is a difference: a loss that no row names would hide in it')
  if (settled && edges === undefined) caveats.push('the capture ended by itself: what came after that is a difference')
  if (staleMs > 0) caveats.push(`${name} has gone, or could not be read: what it counted in the last ${Math.ceil(staleMs)} ms is not known`)
  if (outgoing && sent + sentDrops.count > 0) caveats.push('packets that this host sends are counted by the driver, after the sockets have seen them')
  if (outgoing && sentDrops.after === 'unsure' && sentDrops.count > 0) {
    caveats.push(
      `${sentDrops.count} packets were not sent: of the driver of ${name} it is not known whether the sockets have seen them, and whether it counts them as sent`,
    )
  }
  // Merged packets are missing behind the interface, never before it.
  if (merges && received !== 0 && residual >= 0) caveats.push(`GRO is on: packets that it merges are one to the sockets (ethtool -K ${name} gro off)`)
  if (received === undefined) caveats.push('what the interface received could not be read')
  if (refreshMs !== undefined)
    caveats.push(`counters of ${name} may be ${refreshMs} ms old when they are read: its device, or driver, brings them up to date so often`)
  const backlog = Math.min(softnetDropped, nic.droppedByStack)
  if (!nic.stackDropsKnown && backlog > 0) {
    caveats.push(`up to ${backlog} packets found a backlog full: what the driver of ${name} adds to rx_dropped is not known`)
  }
  return xdp === undefined ? [...caveats, ...foreignCaveats(it)] : caveats
}

/** Of XDP programs that are not the capture's own. */
function foreignCaveats({ name, programs, nic }: LedgerInterface): string[] {
  const caveats: string[] = []
  const countOf = (wanted: string) => nic.counters.find(({ role }) => role === wanted)?.count
  // In generic mode the kernel runs the program, and counts nothing.
  const isCounted = nic.counters.some(({ role }) => role.startsWith('xdp')) && programs.every((mode) => mode === 'native')
  if (programs.length > 0 && !isCounted) caveats.push(`an XDP program is on ${name}: what it drops, redirects or sends back is counted nowhere`)
  if (nic.redirectsHaveFailed && countOf('xdpRedirect') && countOf('xdpDrop')) {
    caveats.push(`the driver of ${name} counts a redirect that fails as redirected and as dropped`)
  }
  return caveats
}
