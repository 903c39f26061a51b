/** The ledger as metrics. Pure. */
import type { Ledger } from './ledger.js'

const HELP: Readonly<Record<string, string>> = {
  ringtap_received_total: 'Packets that the interface received during the capture.',
  ringtap_sent_total: 'Packets that the interface sent during the capture, where it takes those.',
  ringtap_send_dropped_total: 'Packets that the interface was to send and did not, where the capture takes what this host sends.',
  ringtap_send_queue_packets: 'Packets to be sent that the interface holds, seen by the sockets and not counted yet.',
  ringtap_drops_total: 'Packets lost, by where.',
  ringtap_left_total: 'Packets that were not for this capture, by why.',
  ringtap_waiting_packets: 'Packets on their way to the sockets and the handler, or not counted yet.',
  ringtap_nic_limited_total: 'Packets that an allowance of the cloud queued or dropped.',
  ringtap_nic_allocation_failures_total: 'Receive buffers that the driver could not allocate.',
  ringtap_backlog_dropped_total:
    'At most so many packets of the interface found a backlog full, outside the account: left to the stack, or maybe lost by the driver.',
  ringtap_xdp_redirected_total: 'Packets that an XDP program redirected, those that the capture was offered among them.',
  ringtap_xdp_sent_back_total: 'Packets that an XDP program sent back, on an interface that is captured by AF_XDP.',
  ringtap_softnet_dropped_total: "Packets that found a CPU's backlog full, of all interfaces of the machine.",
  ringtap_softnet_squeezed_total: 'Times that a CPU stopped receiving with work left, for all interfaces of the machine.',
  ringtap_offered_total: 'Packets that the kernel gave to the worker, dropped ones included.',
  ringtap_freezes_total: "Times that the kernel found no free block in the worker's ring.",
  ringtap_truncated_total: 'Delivered packets of which not all bytes were captured.',
  ringtap_delivered_total: 'Packets delivered.',
  ringtap_residual: 'Packets that no other metric names: 0, or an error in the account.',
}

export interface LedgerMetric {
  name: string
  labels: Readonly<Record<string, string>>
  help: string
  type: 'counter' | 'gauge'
  value: number
}

/** The ledger for Prometheus: every row, and the residual of each interface. Those of one name follow each other, as its text format wants. */
export function ledgerMetrics(ledger: Ledger): LedgerMetric[] {
  const helpOf = (name: string) => HELP[name] as string
  const rows = ledger.rows.map(
    ({ metric, labels, count }): LedgerMetric => ({ name: metric, labels, help: helpOf(metric), type: typeOf(metric), value: count }),
  )
  const residuals = ledger.interfaces.map(
    (it): LedgerMetric => ({
      name: 'ringtap_residual',
      labels: { interface: it.interface },
      help: helpOf('ringtap_residual'),
      type: 'gauge',
      value: it.residual,
    }),
  )
  const names = Object.keys(HELP)
  return [...rows, ...residuals].sort((a, b) => names.indexOf(a.name) - names.indexOf(b.name))
}

/** What may fall is no counter, and has another name. */
function typeOf(metric: string): LedgerMetric['type'] {
  return metric.endsWith('_total') ? 'counter' : 'gauge'
}
