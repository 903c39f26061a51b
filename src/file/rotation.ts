/**
 * Which file a packet goes to, what that file is called, and which old ones go: decisions alone, nothing is opened here. The rules
 * of `-C`, `-G` and `-W` and the names are those of tcpdump(8).
 */
import { CaptureError } from '../errors.js'
import { strftime } from './strftime.js'

export interface RotationOptions {
  /** `-C`: a file that is longer than so many bytes is followed by another. */
  sizeBytes?: number | undefined
  /** `-G`: a file that began so many seconds ago is followed by another, whose name strftime(3) makes of the time. */
  seconds?: number | undefined
  /** `-W`: with `sizeBytes`, so many files, the oldest written over; with `seconds` alone, so many files and then no more. */
  files?: number | undefined
  /** `--keep`: the files of this job together are at most so many bytes; the oldest are removed. */
  keepBytes?: number | undefined
  /** Whether `%` in the name is strftime(3)'s. Default: with `seconds`. */
  timeInNames?: boolean | undefined
}

export type RotationReason = 'size' | 'time'

/**
 * What is asked for, checked.
 * @throws CaptureError INVALID_OPTION.
 */
export function checkRotation(options: RotationOptions): void {
  const positive = (name: 'sizeBytes' | 'seconds' | 'files' | 'keepBytes') => {
    const value = options[name]
    if (value === undefined || (Number.isSafeInteger(value) && value > 0)) return
    throw new CaptureError('INVALID_OPTION', `rotation: expected ${name} to be a whole number above 0, got ${String(value)}`)
  }
  for (const name of ['sizeBytes', 'seconds', 'files', 'keepBytes'] as const) positive(name)
  const { sizeBytes, seconds, files, keepBytes } = options
  if (sizeBytes === undefined && seconds === undefined && (files ?? keepBytes) !== undefined) {
    const name = files === undefined ? 'keepBytes' : 'files'
    throw new CaptureError('INVALID_OPTION', `rotation: ${name} needs sizeBytes or seconds: with one file there is nothing to remove`, {
      hint: 'give a size (-C) or a time (-G)',
    })
  }
  if (keepBytes !== undefined && sizeBytes !== undefined && keepBytes < sizeBytes) {
    throw new CaptureError('INVALID_OPTION', `rotation: keepBytes ${keepBytes} is less than one file of sizeBytes ${sizeBytes}`)
  }
}

/** The first file is called as its pattern, and the next ones have a number behind it; with `files` all have, with leading zeros. */
function numbered(name: string, index: number, files: number | undefined): string {
  if (files !== undefined) return `${name}${String(index).padStart(String(files - 1).length, '0')}`
  return index === 0 ? name : `${name}${index}`
}

/** The files of one job, one after another. */
export class FileSequence {
  readonly #pattern: string
  readonly #options: RotationOptions
  /** Number of the file since the last rotation by time. */
  #index = 0
  /** Files by time, the one being written among them. */
  #intervals = 1
  #stamp: string
  #began: number

  /** `began` in seconds since 1970. */
  constructor(pattern: string, options: RotationOptions, began: number) {
    this.#pattern = pattern
    this.#options = options
    this.#began = began
    this.#stamp = this.#nameAt(began)
  }

  /** The time of the first record is known, of which a file is not begun anew: those that were written before keep their numbers. */
  begin(seconds: number): void {
    this.#began = seconds
    this.#stamp = this.#nameAt(seconds)
  }

  /** Of the file that is being written. */
  get name(): string {
    return this.#options.sizeBytes === undefined ? this.#stamp : numbered(this.#stamp, this.#index, this.#options.files)
  }

  /** Whether another file must begin before the next record, `now` being seconds since 1970. Time comes first, as in tcpdump. */
  due(bytes: number, now: number): RotationReason | undefined {
    const { seconds, sizeBytes } = this.#options
    if (seconds !== undefined && now - this.#began >= seconds) return 'time'
    return sizeBytes !== undefined && bytes > sizeBytes ? 'size' : undefined
  }

  /** Whether there is no file after this one: as many as `files` have been written by time. */
  isLast(reason: RotationReason): boolean {
    const { files, sizeBytes } = this.#options
    return reason === 'time' && sizeBytes === undefined && files !== undefined && this.#intervals >= files
  }

  /** What the next file will be called if it begins then, or the one so many further on. */
  nameAfter(reason: RotationReason, began: number, files = 1): string {
    const next = new FileSequence(this.#pattern, this.#options, this.#began)
    next.#index = this.#index
    next.#stamp = this.#stamp
    for (let file = 1; file < files; file++) next.advance(reason, began)
    return next.advance(reason, began)
  }

  /** The next file has begun; answers its name. */
  advance(reason: RotationReason, began: number): string {
    if (reason === 'time') {
      this.#began = began
      this.#stamp = this.#nameAt(began)
      this.#index = 0
      this.#intervals++
    } else {
      this.#index = this.#options.files === undefined ? this.#index + 1 : (this.#index + 1) % this.#options.files
    }
    return this.name
  }

  #nameAt(seconds: number): string {
    const expand = this.#options.timeInNames ?? this.#options.seconds !== undefined
    return expand ? strftime(this.#pattern, new Date(seconds * 1000)) : this.#pattern
  }
}

/** What `--keep` leaves: the finished files of a job, oldest first. */
export class KeptFiles {
  readonly #limit: number
  readonly #files = new Map<string, number>()
  #bytes = 0

  /** `limit` in bytes; Infinity keeps all. */
  constructor(limit: number) {
    this.#limit = limit
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Path and length of each. */
  entries(): [path: string, bytes: number][] {
    return [...this.#files]
  }

  has(path: string): boolean {
    return this.#files.has(path)
  }

  /** A file was finished; one of that name has been written over. */
  add(path: string, bytes: number): void {
    this.forget(path)
    this.#files.set(path, bytes)
    this.#bytes += bytes
  }

  /** A file is there no more, or not under that name. */
  forget(path: string): void {
    this.#bytes -= this.#files.get(path) ?? 0
    this.#files.delete(path)
  }

  /** A command has made another file of it, in its place. False when it is none of them any more. */
  replace(path: string, by: string, bytes: number): boolean {
    if (!this.#files.has(path)) return false
    const files = [...this.#files].map(([name, length]) => (name === path ? ([by, bytes] as const) : ([name, length] as const)))
    this.#files.clear()
    this.#bytes = 0
    for (const [name, length] of files) this.add(name, length)
    return true
  }

  /** Takes out the oldest ones until there is room for `current` bytes more, and answers them: they are to be removed. */
  excess(current: number): string[] {
    const removed: string[] = []
    for (const path of this.#files.keys()) {
      if (this.#bytes + current <= this.#limit) break
      removed.push(path)
      this.forget(path)
    }
    return removed
  }
}
