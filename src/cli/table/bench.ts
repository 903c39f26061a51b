/** `ringtap bench`. */
import { type CommandRow, KIND_NAMES, OUTPUT } from './row.js'

export const BENCH = {
  name: 'bench',
  usage: 'ringtap bench [options]',
  summary: 'the ladder: every way to capture, under a flood, on this machine',
  doc: [
    'Makes two network namespaces and a veth pair, floods it from the kernel, and runs every rung of the ladder on it: offered, received, dropped and unaccounted packets a second, load of each core, and CPU time a packet. Everything that it made is gone afterwards. Needs root.',
    'With --reference each rung runs alternately with its twin in C, and the ratio is printed.',
  ],
  options: [
    { name: 'seconds', kind: 'seconds', default: '5s', min: 100, group: 'What to run', doc: 'measured time of each run' },
    { name: 'warmup', kind: 'seconds', default: '1s', min: 0, group: 'What to run', doc: 'time before that' },
    {
      name: 'rungs',
      kind: 'words',
      default: 'recv,recv+fanout,ring,ring+fanout,xdp,xdp generic,kernel count',
      group: 'What to run',
      doc: 'which rungs',
    },
    { name: 'workers', kind: 'workers', default: 'auto', group: 'What to run', doc: 'workers of the rungs with fanout; auto is one a CPU' },
    { name: 'reference', kind: 'flag', group: 'What to run', doc: 'run the C twin of each rung as well; needs cc' },
    { name: 'alternations', kind: 'integer', default: '7', min: 1, max: 1000, group: 'What to run', doc: 'with --reference: how often the two take turns' },
    { name: 'profile', kind: 'flag', group: 'What to run', doc: 'top kernel symbols of each rung; needs perf' },
    {
      name: 'kind',
      kind: 'enum',
      values: KIND_NAMES,
      metavar: KIND_NAMES.join('|'),
      default: 'syn',
      group: 'The flood',
      doc: 'TCP SYNs, UDP datagrams, ICMP echo requests, or all of them',
    },
    { name: 'frame-size', kind: 'size', metavar: 'BYTES', default: '60', api: 'frameBytes', group: 'The flood', doc: 'length of a frame without its FCS' },
    { name: 'report', kind: 'string', metavar: 'FILE', group: OUTPUT, doc: 'write a page with charts (HTML) as well' },
    { name: 'json', kind: 'flag', group: OUTPUT, doc: 'one JSON document instead of a table' },
  ],
  examples: [
    ['ringtap bench', 'the ladder in about a minute'],
    ['ringtap bench --reference --profile --report ladder.html', 'all that can be known, on one page'],
  ],
} as const satisfies CommandRow
