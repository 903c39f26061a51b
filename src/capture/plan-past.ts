/** Options of a time machine, checked. Pure. */
import { CaptureError } from '../errors.js'
import { MAX_POOL_BYTES, MIN_POOL_BYTES } from '../file/record-pool.js'
import type { PastPlan, WriteOptions } from './api.js'
import { invalid, text } from './plan.js'

export const DEFAULT_BEFORE_SIZE_BYTES = 256 * 2 ** 20
export const DEFAULT_AFTER_MS = 10_000
/** setTimeout's limit, 24.8 days. */
const MAX_MS = 2 ** 31 - 1

/** undefined without `beforeMs`: an ordinary recording. */
export function planPast(given: WriteOptions, availableMemoryBytes: number): PastPlan | undefined {
  const { beforeMs, beforeSizeBytes, afterMs, trigger, perWorker, order, unbuffered, rotation, compression, path } = given
  if (beforeMs === undefined) {
    for (const [name, value] of Object.entries({ beforeSizeBytes, afterMs, trigger })) {
      if (value !== undefined) throw invalid(`write.${name}`, 'absent without write.beforeMs', value)
    }
    return undefined
  }
  if (perWorker === true) throw invalid('write.perWorker', 'absent with write.beforeMs: each trigger makes one file', perWorker)
  if (order === true) throw invalid('write.order', 'absent with write.beforeMs: each worker writes what it remembers', order)
  if (unbuffered === true) throw invalid('write.unbuffered', 'absent with write.beforeMs', unbuffered)
  if (rotation !== undefined) throw invalid(...rotationGiven(rotation), 'without -C, -G, -W and --keep')
  if (compression !== undefined && compression !== 'none') throw invalid('write.compression', "'none' with write.beforeMs", compression)
  if (path === '-') throw invalid('write.path', 'a file with write.beforeMs: each trigger makes one', path)
  const size = number('write.beforeSizeBytes', beforeSizeBytes ?? DEFAULT_BEFORE_SIZE_BYTES, MIN_POOL_BYTES, Number.MAX_SAFE_INTEGER)
  if (size > availableMemoryBytes) {
    throw new CaptureError(
      'INVALID_OPTION',
      `Expected the option write.beforeSizeBytes to be at most the ${availableMemoryBytes} bytes of memory that are available, got ${size}`,
      {
        hint: 'a smaller --before-size',
      },
    )
  }
  return {
    beforeMs: number('write.beforeMs', beforeMs, 1, MAX_MS),
    beforeSizeBytes: size,
    afterMs: number('write.afterMs', afterMs ?? DEFAULT_AFTER_MS, 0, MAX_MS),
    trigger: trigger === undefined ? undefined : text('write.trigger', trigger),
  }
}

/** By the part of it that was given, as the command line has an option for each. */
function rotationGiven(rotation: object): [option: string, expected: string, got: unknown] {
  const expected = 'absent with write.beforeMs: each trigger makes one file'
  const [part] = Object.entries(rotation).filter(([, value]) => value !== undefined)
  return part === undefined ? ['write.rotation', expected, rotation] : [`write.rotation.${part[0]}`, expected, part[1]]
}

/**
 * What each of so many workers gets of the memory.
 * @throws CaptureError INVALID_OPTION where that is too little or too much.
 */
export function pastShare({ beforeSizeBytes }: PastPlan, workers: number): number {
  const share = Math.floor(beforeSizeBytes / workers)
  if (share >= MIN_POOL_BYTES && share <= MAX_POOL_BYTES) return share
  throw invalid('write.beforeSizeBytes', `from ${MIN_POOL_BYTES * workers} to ${MAX_POOL_BYTES * workers} with ${workers} workers`, beforeSizeBytes)
}

function number(option: string, value: unknown, min: number, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
  throw invalid(option, `an integer from ${min} to ${max}`, value)
}
