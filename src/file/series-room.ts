/** What a series of files that follow one another fast needs: how many are to be ready, and which old ones go for `keepBytes`. */
import { statSync, unlinkSync } from 'node:fs'
import type { FileEvent } from './capture-file.js'
import { fsFailed } from './file-failed.js'
import type { PostCommands } from './post-commands.js'
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

/** What has to be known of the commands that are run for finished files. */
export type CommandsOfFiles = Pick<PostCommands, 'forget' | 'isRunning'>

export class SeriesRoom {
  readonly #rotation: RotationOptions
  readonly #isByHand: boolean
  readonly #tell: (event: FileEvent) => void
  readonly #kept: KeptFiles
  readonly #commands: CommandsOfFiles
  /** Files that were removed while their command ran. */
  readonly #removedUnder = new Set<string>()
  /** Of files whose command runs: what had the names of what it may make. */
  readonly #foreign = new Map<string, Map<string, string | undefined>>()
  /** How many files are to be ready to follow: more where files follow one another fast. */
  #ahead = 1
  #settledAt = 0
  /** The most that was written by the time that the main thread saw that a file was full, in files behind it. */
  #lagBytes = 0

  /** `isByHand`: one thread alone appends and begins the files. */
  constructor(rotation: RotationOptions, isByHand: boolean, commands: CommandsOfFiles, tell: (event: FileEvent) => void) {
    this.#rotation = rotation
    this.#isByHand = isByHand
    this.#commands = commands
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
    if (this.#rotation.keepBytes !== undefined) this.#kept.add(path, bytes)
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
      this.#commands.forget(path)
      // What it makes of the file is going to be there when it ends: perhaps already, and the file itself no more.
      if (this.#commands.isRunning(path)) this.#removedUnder.add(path)
      try {
        unlinkSync(path)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
          this.#tell({ type: 'file-warning', message: 'an old file cannot be removed', error: fsFailed(path, 'unlink', error) })
          continue
        }
      }
      this.#tell({ type: 'file-removed', path, bytes: before.get(path) ?? 0 })
    }
  }

  /** What has the names that a command may make belongs to others. */
  beforeCommand(path: string): void {
    this.#foreign.set(path, new Map(COMPRESSED.map((ending) => [path + ending, identityOf(path + ending)])))
  }

  /** gzip and its like put another file in the place of the one that they are given; of one that was removed meanwhile it goes, too. */
  afterCommand(path: string): void {
    const foreign = this.#foreign.get(path)
    this.#foreign.delete(path)
    const made = COMPRESSED.map((ending) => path + ending).filter((name) => {
      const identity = identityOf(name)
      return identity !== undefined && identity !== foreign?.get(name)
    })
    if (this.#removedUnder.delete(path)) {
      const names = [path, ...made].filter((name) => !this.#kept.has(name))
      for (const name of names) unlinkIfThere(name)
      if (!this.#kept.has(path)) return
    }
    const by = [path, ...made].find((name) => identityOf(name) !== undefined)
    if (by === undefined) this.#kept.forget(path)
    else this.#replaced(path, by)
  }

  #replaced(path: string, by: string): void {
    const bytes = statSync(by, { throwIfNoEntry: false })?.size ?? 0
    const isKept = this.#kept.replace(path, by, bytes)
    if (by !== path && (isKept || this.#rotation.keepBytes === undefined)) this.#tell({ type: 'file-replaced', path, by, bytes })
  }
}

/** Another one whenever the name has another file, or the file was written to. */
function identityOf(path: string): string | undefined {
  try {
    const { dev, ino, ctimeMs } = statSync(path)
    return `${dev} ${ino} ${ctimeMs}`
  } catch {
    return undefined
  }
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // The command has put another in its place, or somebody has removed it.
  }
}
