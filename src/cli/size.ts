/** `ringtap size`. */
import { readFileSync } from 'node:fs'
import { measuredCosts, type SizeOptions, sizeCapture } from '../host/index.js'
import { machineFacts } from '../index.js'
import { EXIT } from './exit-status.js'
import { formatDecimal } from './human.js'
import type { Io } from './io.js'
import { sizeDocument, sizeLines } from './size-lines.js'
import type { ValuesOf } from './table.js'
import { UsageError } from './usage-error.js'

/** Those of sizeCapture, for --rate is either of two options of it. */
export const RATE_BOUNDS = { packetsPerSecond: [1, 1e10], lineBitsPerSecond: [1e6, 1e13] } as const

export function runSize(values: ValuesOf<'size'>, io: Io): number {
  const size = sizeCapture(sizeOptions(values))
  if (values.json) io.out(sizeDocument(size))
  else for (const line of sizeLines(size)) io.out(line)
  return size.fits ? EXIT.done : EXIT.failed
}

function sizeOptions(values: ValuesOf<'size'>): SizeOptions {
  const { rate } = values
  if (rate === undefined) throw new UsageError('--rate: how much is to be captured?', 'for example --rate 10G --frame 64, or --rate 2Mpps')
  if ('packetsPerSecond' in rate) checkRate(rate.packetsPerSecond, RATE_BOUNDS.packetsPerSecond, 'pps')
  else checkRate(rate.bitsPerSecond, RATE_BOUNDS.lineBitsPerSecond, 'bit/s')
  const document = values.measured === undefined ? undefined : readDocument(values.measured)
  const machine = machineFacts()
  if ('bitsPerSecond' in rate && values.line !== undefined && values.line !== rate.bitsPerSecond) {
    throw new UsageError('--line: --rate in bits is that of a full line already', 'give --rate in packets a second')
  }
  return {
    packetsPerSecond: 'packetsPerSecond' in rate ? rate.packetsPerSecond : undefined,
    lineBitsPerSecond: 'bitsPerSecond' in rate ? rate.bitsPerSecond : values.line,
    frameBytes: values.frame,
    burstMs: values.burst,
    holdMs: values.hold,
    cores: values.cores ?? machine.cpus.length,
    memoryBytes: values.memory ?? machine.availableMemoryBytes,
    load: values.load,
    backend: values.backend,
    handlerNs: values.cost,
    pageSizeBytes: machine.pageSize,
    costs: document === undefined ? undefined : (backend) => measuredCosts(document, backend),
  }
}

function checkRate(rate: number, [least, most]: readonly [number, number], unit: string): void {
  if (rate >= least && rate <= most) return
  throw new UsageError(`--rate: expected ${formatDecimal(least, unit)} to ${formatDecimal(most, unit)}, got ${formatDecimal(rate, unit)}`)
}

function readDocument(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new UsageError(`--measured: ${(error as Error).message}`, 'it is the file that ringtap bench --json > FILE makes')
  }
}
