/** `ringtap rate`. */
import { type CommandRow, JSON_LINES, MAX_TIMER_MS, NETNS, OUTPUT, WHAT } from './row.js'

export const RATE = {
  name: 'rate',
  usage: 'ringtap rate -i IFACE [options]',
  summary: "packets and bits a second from the interface's own counters",
  doc: [
    "Prints what the kernel's counters of an interface say, a line a second: what was received and sent, and what the interface dropped. Captures nothing and needs no privilege.",
    'Compare it with ringtap capture: what stands here and not there was lost before any socket saw it.',
  ],
  options: [
    { name: 'interface', letter: 'i', kind: 'string', metavar: 'IFACE', group: WHAT, doc: 'interface' },
    { ...NETNS, group: WHAT },
    { name: 'interval', kind: 'seconds', default: '1s', min: 10, max: MAX_TIMER_MS, group: OUTPUT, doc: 'time between lines' },
    { name: 'count', letter: 'c', kind: 'integer', min: 1, group: OUTPUT, doc: 'end after N lines' },
    { name: 'duration', kind: 'seconds', min: 1, max: MAX_TIMER_MS, group: OUTPUT, doc: 'end after this time' },
    { ...JSON_LINES },
  ],
  examples: [
    ['ringtap rate -i eth0', 'a line a second, until Ctrl-C'],
    ['ringtap rate -i eth0 --interval 100ms -c 50 --json', 'fifty fine-grained values, for a program to read'],
  ],
} as const satisfies CommandRow
