/** What a series of files that follow one another fast needs: how many are to be ready, and which old ones go for `keepBytes`. */
import { statSync, unlinkSync } from 'node:fs'
import type { FileEvent } from './capture-file.js'
import { fsFailed } from './file-failed.js'
import { KeptFiles, type RotationOptions } from './rotation.js'
import { PLACES } from './sink.js'

/** Endings of what commands leave in the place of a file. */
const COMPRESSED = ['.gz', '.bz2', '.xz', '.zst', '.lz4', '.lzo', '.br']

/** What is appended at a time, at the most as a rule. */
const APPEND_BYTES = 2 ** 20
/** Files that follow one another so soon are made ready several ahead. */
const FAST_MS = 250
/** A file without a limit of its own is looked at, for `keepBytes`, when it has become so much longer. */
const MIN_STEP_BYTES = 2 ** 16

export class SeriesRoom {
  readonly #rotation: RotationOptions
  readonly #isByHand: boolean
  readonly #tell: (event: FileEvent) => void
  readonly #kept: KeptFiles
  /** How many files are to be ready to follow: more where files follow one another fast. */
  #ahead = 1
  #settledAt = 0
  /** The most that was written by the time that the main thread saw that a file was full, in files behind it. */
  #lagBytes = 0

  /** `isByHand`: one thread alone appends and begins the files. */
  constructor(rotation: RotationOptions, isByHand: boolean, tell: (event: FileEvent) => void) {
    this.#rotation = rotation
    this.#isByHand = isByHand
    this.#tell = tell
    this.#kept = new KeptFiles(rotation.keepBytes ?? Number.POSITIVE_INFINITY)
    // One buffer alone may fill several.
    if (!isByHand && rotation.sizeBytes !== undefined) this.#ahead = Math.min(PLACES, Math.ceil(APPEND_BYTES / rotation.sizeBytes))
  }

  get ahead(): number {
    return this.#ahead
  }

  /** Files of these lengths were left since the last time, and the current one has `size`. */
  pace(left: readonly number[], size: number): void {
    const now = performance.now()
    const isFast = left.length > 1 || now - this.#settledAt < FAST_MS
    this.#settledAt = now
    if (this.#rotation.sizeBytes === undefined) return
    if (isFast) this.#ahead = Math.min(PLACES, this.#ahead * 2)
    const behind = left.slice(1).reduce((sum, bytes) => sum + bytes, size)
    this.#lagBytes = Math.max(this.#lagBytes, behind)
  }

  /** A file was finished. */
  add(path: string, bytes: number): void {
    this.#kept.add(path, bytes)
  }

  /**
   * Of `keepBytes` for the current file of `size`, and for what is written until old ones are removed. Answers at what size to look again, if
   * the file has no limit of its own.
   */
  keep(size: number): number | undefined {
    const { sizeBytes, keepBytes } = this.#rotation
    if (keepBytes === undefined || this.#isByHand) this.removeOld(Math.max(sizeBytes ?? 0, size))
    else if (sizeBytes !== undefined) {
      // NB: where there is room for few files only, an old one is worth more than a limit that holds at every moment.
      this.removeOld(Math.max(sizeBytes, size) + Math.min(this.#lagBytes, Math.max(0, keepBytes - 3 * sizeBytes)))
    } else {
      const step = Math.max(MIN_STEP_BYTES, Math.floor(keepBytes / 16))
      this.removeOld(size + step)
      return size + step / 2
    }
    return undefined
  }

  /** Removes the oldest ones until there is room for `current` bytes beside the others. */
  removeOld(current: number): void {
    const before = new Map(this.#kept.entries())
    for (const path of this.#kept.excess(current)) {
      try {
        unlinkSync(path)
        this.#tell({ type: 'file-removed', path, bytes: before.get(path) ?? 0 })
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue
        this.#tell({ type: 'file-warning', message: 'an old file cannot be removed', error: fsFailed(path, 'unlink', error) })
      }
    }
  }

  /** gzip and its like put another file in the place of the one that they are given. */
  afterCommand(path: string): void {
    for (const ending of ['', ...COMPRESSED]) {
      try {
        const { size } = statSync(path + ending)
        this.#kept.replace(path, path + ending, size)
        return
      } catch {
        // Not that one.
      }
    }
    this.#kept.forget(path)
  }
}
