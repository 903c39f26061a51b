/** What `ringtap size` prints. Pure. */
import type { CaptureSize, RingSimulation } from '../host/index.js'
import { alignColumns, formatBytes, formatDecimal } from './human.js'

export function sizeLines(size: CaptureSize): string[] {
  const { costs, load, ring, survives, workers } = size
  const each = size.packetsPerSecond / workers
  const rows = [
    ['backend', size.backend],
    ['workers', `${workers}, each on a core with its receive queue: ${formatDecimal(each, 'pps')} a worker`],
    ['load a core', `${percent(load.total)}: kernel ${percent(load.kernel)}, worker ${percent(load.user)}`],
    ['ring', ringText(ring)],
    ['memory', `${formatBytes(size.memoryBytes)} for ${workers === 1 ? 'its ring' : `${workers} rings`}`],
    [
      'survives',
      `a worker that stands still ${milliseconds(survives.stallMs)}, a full line ${survives.burstMs === null ? 'for ever' : milliseconds(survives.burstMs)}`,
    ],
    [
      'simulated',
      `${lossText(size.simulated)}; with a stall as ordered, ${size.simulatedStall === null ? 'too many packets to simulate' : lossText(size.simulatedStall)}`,
    ],
    [
      'costs',
      `kernel ${nanoseconds(costs.kernelNs)}, worker ${nanoseconds(costs.workerNs)}, handler ${nanoseconds(costs.handlerNs)} a packet (${costs.source})`,
    ],
    ['command', size.command],
  ]
  return [verdict(size), '', ...alignColumns(rows)]
}

function verdict(size: CaptureSize): string {
  const line = `${formatDecimal(size.lineBitsPerSecond, 'bit/s')} line`
  const share = size.packetsPerSecond / size.linePacketsPerSecond
  const traffic = `${formatDecimal(size.packetsPerSecond, 'pps')} of ${size.frameBytes}-byte frames, ${share > 0.999 ? `a full ${line}` : `${percent(share)} of a ${line}`}`
  return `${traffic}: ${size.fits ? 'fits' : `does not fit: needs ${size.shortOf.join('; ')}`}`
}

export function sizeDocument(size: CaptureSize): string {
  return JSON.stringify({ type: 'size', ...size })
}

function ringText(ring: CaptureSize['ring']): string {
  const parts =
    'blockBytes' in ring ? `${ring.blockCount} blocks of ${formatBytes(ring.blockBytes)}` : `${ring.chunkCount} chunks of ${formatBytes(ring.chunkBytes)}`
  return `${formatBytes(ring.bytes)} a worker: ${parts}, ${formatDecimal(ring.packets, 'packets')}`
}

function lossText({ dropShare, droppedByNic, droppedByRing }: RingSimulation): string {
  if (dropShare === 0) return 'loses nothing'
  const where = droppedByNic === 0 ? 'in the ring' : droppedByRing === 0 ? 'in the NIC' : 'in NIC and ring'
  return `loses ${lossPercent(dropShare)} ${where}`
}

function lossPercent(share: number): string {
  return share < 0.0001 ? 'less than 0.01 %' : share < 0.1 ? `${(share * 100).toPrecision(2)} %` : percent(share)
}

function percent(part: number): string {
  return `${Math.round(part * 100)} %`
}

function milliseconds(ms: number): string {
  return ms >= 9999.5 ? `${Math.round(ms / 1000)} s` : ms >= 9.95 ? `${Math.round(ms)} ms` : `${ms.toPrecision(2)} ms`
}

function nanoseconds(ns: number): string {
  return `${Math.round(ns)} ns`
}
