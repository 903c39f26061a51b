/** `ringtap size`. */
import { type CommandRow, OUTPUT } from './row.js'

const TRAFFIC = 'The traffic'
const HOST = 'The host'

/** Bounds are those of sizeCapture: here a value is refused as it was typed. */
export const SIZE = {
  name: 'size',
  usage: 'ringtap size --rate RATE [options]',
  summary: 'cores, rings and memory that a rate needs, and what they survive',
  doc: [
    'Works out workers, ring and memory for a capture, the load of each core, and how long a burst or a reader that stands still is survived; a simulation of one worker and its ring, a second and more of it, says what share of the packets would be lost. Nothing is captured, and no privilege is needed.',
    'Costs a packet are those that ringtap bench has measured on this machine (--measured FILE), or defaults with their source. What a handler of yours takes beside is --cost: see docs/scaling.md.',
    'The exit status is 0 when the capture fits, 1 when it does not, 2 when a value is refused.',
  ],
  options: [
    {
      name: 'rate',
      kind: 'load',
      api: 'packetsPerSecond',
      group: TRAFFIC,
      doc: 'what comes on average: packets a second, or a full line of so many bits a second',
    },
    {
      name: 'frame',
      kind: 'size',
      metavar: 'BYTES',
      default: '64',
      min: 64,
      max: 9216,
      api: 'frameBytes',
      group: TRAFFIC,
      doc: 'length of a frame with its FCS',
    },
    {
      name: 'line',
      kind: 'bit-rate',
      min: 1e6,
      max: 1e13,
      api: 'lineBitsPerSecond',
      libraryDefault: 'the slowest link that carries the rate',
      group: TRAFFIC,
      doc: 'speed of the link, at which bursts come',
    },
    { name: 'burst', kind: 'duration', default: '1ms', min: 0.001, max: 1000, api: 'burstMs', group: TRAFFIC, doc: 'how long the line is full in a burst' },
    {
      name: 'hold',
      kind: 'duration',
      default: '100ms',
      min: 0,
      max: 10_000,
      api: 'holdMs',
      group: HOST,
      doc: 'how long a reader may stand still and nothing be lost',
    },
    {
      name: 'cores',
      kind: 'integer',
      min: 1,
      max: 256,
      api: 'cores',
      libraryDefault: 'those that this process may use',
      group: HOST,
      doc: 'cores for the capture, a worker each',
    },
    {
      name: 'memory',
      kind: 'size',
      min: 1,
      max: Number.MAX_SAFE_INTEGER,
      api: 'memoryBytes',
      libraryDefault: 'what is available here',
      group: HOST,
      doc: 'memory for the rings',
    },
    { name: 'load', kind: 'percent', default: '80%', min: 0.01, max: 1, api: 'load', group: HOST, doc: 'how busy a core may be' },
    {
      name: 'backend',
      kind: 'enum',
      values: ['auto', 'ring', 'xdp'],
      default: 'auto',
      api: 'backend',
      group: HOST,
      doc: 'auto is ring where it fits, else xdp',
    },
    { name: 'cost', kind: 'nanoseconds', default: '0', min: 0, max: 1e9, api: 'handlerNs', group: 'Costs', doc: 'what the handler takes for a packet' },
    { name: 'measured', kind: 'string', metavar: 'FILE', group: 'Costs', doc: 'what ringtap bench --json has printed on this machine' },
    { name: 'json', kind: 'flag', group: OUTPUT, doc: 'one JSON document instead of text' },
  ],
  examples: [
    ['ringtap size --rate 10G --cores 8', '10G of minimum-size frames, the worst case, on eight cores'],
    ['ringtap size --rate 2Mpps --frame 300 --line 10G --cost 200', 'a handler that takes 200 ns a packet, bursts at 10G'],
    ['ringtap size --rate 10G --measured bench.json', 'with the costs of this machine, of ringtap bench --json > bench.json'],
  ],
} as const satisfies CommandRow
