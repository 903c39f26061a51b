/** From the command line's values to the library's options. Pure. */
import { pathToFileURL } from 'node:url'
import { type CaptureOptions, type FanoutMode, type FanoutOptions, parseProgram, type RotationOptions, type WriteOptions } from '../index.js'
import { findCommand, type ValuesOf } from './table.js'
import { parseSize } from './units.js'
import { UsageError } from './usage-error.js'

type Values = ValuesOf<'capture'>
type Program = NonNullable<FanoutOptions['program']>

export function captureOptions(values: Values, program?: Program, filter?: string): CaptureOptions {
  const { interface: interfaces } = values
  if (interfaces === undefined) throw new UsageError('which interface? -i IFACE is missing', 'ringtap interfaces lists them')
  const fanout = fanoutOptions(values, program)
  return {
    interface: interfaces,
    promiscuous: !values.noPromiscuousMode,
    ...given({
      netns: values.netns,
      backend: values.backend,
      exclusive: values.exclusive ? true : undefined,
      xdpMode: values.xdpMode,
      chunkBytes: values.chunk,
      busyPollUs: values.busyPoll,
      hardwareHints: values.hardwareHints ? true : undefined,
      workers: values.workers,
      fanout,
      pin: values.pin,
      blockBytes: values.block,
      blockTimeoutMs: values.blockTimeout,
      batch: values.batch,
      // As with tcpdump, 0 is the default.
      snapLengthBytes: values.snapLength === 0 ? undefined : values.snapLength,
      filter,
      direction: values.direction,
      count: values.count,
      durationMs: values.duration,
      workerRestarts: values.workerRestarts,
      handler: values.handler === undefined ? undefined : pathToFileURL(values.handler),
      handlerData: values.handlerData?.value,
      write: writeOptions(values),
      user: values.relinquishPrivileges,
    }),
    ...bufferOptions(values),
  }
}

/** The library's reading of what `tcpdump -ddd` prints, named after its option. */
export function fanoutProgram(text: string): Program {
  try {
    return parseProgram(text)
  } catch (error) {
    throw new UsageError(`--fanout-program: ${(error as Error).message}`)
  }
}

function fanoutOptions(values: Values, program: Program | undefined): FanoutOptions | undefined {
  if (program !== undefined && values.fanout?.mode !== 'cbpf') throw new UsageError('--fanout-program goes with --fanout cbpf')
  if (program === undefined && values.fanout?.mode === 'cbpf') {
    throw new UsageError('--fanout cbpf needs --fanout-program FILE', "what tcpdump -ddd prints, with the worker's number as the program's answer")
  }
  if (values.fanout === undefined) return undefined
  const { mode, ...flags } = values.fanout
  return { mode: mode as FanoutMode, ...flags, ...given({ program }) }
}

/** Options that say nothing without -w. */
const OF_FILES = {
  format: '--format',
  precision: '--precision',
  compression: '--compression',
  compressionLevel: '--compression-level',
  perWorker: '--per-worker',
  order: '--order',
  packetBuffered: '-U',
  rotateSize: '-C',
  rotateTime: '-G',
  files: '-W',
  keep: '--keep',
  command: '-z',
  noGuard: '--no-guard',
  before: '--before',
  beforeSize: '--before-size',
  after: '--after',
  trigger: '--trigger',
} as const satisfies { [name in keyof Values]?: string }

function writeOptions(values: Values): WriteOptions | undefined {
  const { write: path, format, precision, compression, compressionLevel, perWorker, order, packetBuffered, command, noGuard } = values
  if (path === undefined) {
    const alone = Object.entries(OF_FILES).find(([name]) => ![undefined, false].includes(values[name as keyof typeof OF_FILES] as undefined | false))
    if (alone !== undefined) throw new UsageError(`${alone[1]} goes with -w FILE`)
    return undefined
  }
  return {
    path,
    ...given({
      format,
      precision: precision === undefined ? undefined : precision === 'micro' || precision === 'us' ? ('us' as const) : ('ns' as const),
      compression,
      compressionLevel,
      perWorker: perWorker ? true : undefined,
      order: order ? true : undefined,
      unbuffered: packetBuffered ? true : undefined,
      rotation: rotationOptions(values),
      command,
      guard: noGuard ? false : undefined,
      beforeMs: values.before,
      beforeSizeBytes: values.beforeSize,
      afterMs: values.after,
      trigger: values.trigger,
    }),
  }
}

function rotationOptions({ rotateSize, rotateTime, files, keep }: Values): RotationOptions | undefined {
  const rotation = given({ sizeBytes: rotateSize, seconds: rotateTime === undefined ? undefined : rotateTime / 1000, files, keepBytes: keep })
  return Object.keys(rotation).length === 0 ? undefined : rotation
}

function bufferOptions(values: Values): Pick<CaptureOptions, 'ringBytes' | 'ringHold' | 'receiveBufferBytes'> {
  const isRecv = values.backend === 'recv'
  const other = isRecv ? values.receiveBuffer : values.ring
  if (values.bufferSize !== undefined && other !== undefined) {
    throw new UsageError(`-B and ${isRecv ? '--receive-buffer' : '--ring'} say the same thing`, 'give one of them')
  }
  const ring = values.ring === undefined ? {} : 'hold' in values.ring ? { ringHold: values.ring.hold } : { ringBytes: values.ring.bytes }
  const receive = given({ receiveBufferBytes: values.receiveBuffer })
  if (values.bufferSize === undefined) return { ...ring, ...receive }
  if (isRecv) return { ...ring, receiveBufferBytes: values.bufferSize }
  if (values.backend === 'xdp') return { ...receive, ringBytes: nextPowerOfTwo(values.bufferSize) }
  const block = values.block ?? defaultBlockBytes()
  // A buffer of 0 stays 0, for the library to refuse.
  return { ...receive, ringBytes: block > 0 ? Math.ceil(values.bufferSize / block) * block : values.bufferSize }
}

function nextPowerOfTwo(bytes: number): number {
  return bytes > 0 ? 2 ** Math.ceil(Math.log2(bytes)) : bytes
}

function defaultBlockBytes(): number {
  const row = findCommand('capture')?.options.find((option) => option.name === 'block')
  return parseSize(row?.libraryDefault ?? '') ?? 1
}

/** An option that was not given is absent, not undefined. */
function given<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
