/**
 * Several capture files as one: their packets in order of time, as mergecap(1) has them, or one file after the other. What is in memory is
 * the piece of each file that its next packet is in.
 *
 * Files are walked as one file is, in batches: the merge goes on without a promise until one of the files has to read. One file alone
 * costs nothing more than its cursor (bench/read-cli.ts).
 */
import { CaptureError } from '../errors.js'
import type { PacketCursor } from './decode/cursor.js'
import type { CaptureFile } from './open.js'

export interface MergeOptions {
  /**
   * `time`: the earliest packet that is next in any of the files; of equal times that of the file that was given first; one without a
   * time stamp at once. Each file must be in order itself, else its packets come no earlier than the one before. `files`: all of the first, then
   * all of the second. Default: `time`.
   */
  order?: 'time' | 'files' | undefined
  /** Called when a file is damaged or cannot be read on; the others go on. Without it, that ends the merge and is thrown. */
  onDamage?: ((error: CaptureError, file: CaptureFile) => void) | undefined
}

/** Walks over the packets of all files: `packet` is the cursor of `file`, on the packet that is next. */
export interface MergedPackets {
  /** Moves to the next packet; false when there is none in this batch. */
  next(): boolean
  /** Valid until the next call of `next()`. `interfaceId` is a place in the `interfaces` of that file. */
  readonly packet: PacketCursor
  readonly file: CaptureFile
  /** Place of that file among those given. */
  readonly fileIndex: number
}

/**
 * Yields a cursor over all files again and again, as `batches()` of a file does. The files are closed at the end, and when it is left.
 * @throws CaptureError INVALID_OPTION, and what reading the files throws.
 */
export function mergeCaptureFiles(files: readonly CaptureFile[], options: MergeOptions = {}): AsyncGenerator<MergedPackets, void, undefined> {
  return mergePackets(files, options, async () => {})
}

/** The same; `between` is awaited wherever a piece of a file was read that has no packets for the caller. */
export async function* mergePackets(
  files: readonly CaptureFile[],
  options: MergeOptions,
  between: () => Promise<void>,
): AsyncGenerator<MergedPackets, void, undefined> {
  const { order = 'time' } = options
  if (order !== 'time' && order !== 'files') throw new CaptureError('INVALID_OPTION', `Expected the option order to be time or files, got ${String(order)}`)
  const sources = files.map((file, index) => new Source(file, index))
  const groups = order === 'time' && sources.length > 1 ? [sources] : sources.map((source) => [source])
  try {
    for (const group of groups) {
      for (const source of group) await advance(source, options, between)
      const merge = group.length > 1 ? new Merge(group) : new Straight(group[0] as Source)
      while (merge.begin()) {
        yield merge
        // Whoever leaves a batch early finds the rest of it in the next one.
        if (merge.drained !== undefined) await advance(merge.drained, options, between)
      }
    }
  } finally {
    await Promise.all(files.map((file) => file.close()))
  }
}

/** A file, and the packet of it that is next. */
class Source {
  readonly file: CaptureFile
  readonly index: number
  readonly batches: AsyncIterator<PacketCursor>
  /** Undefined when there is nothing more. */
  cursor: PacketCursor | undefined
  seconds = 0
  nanoseconds = 0

  constructor(file: CaptureFile, index: number) {
    this.file = file
    this.index = index
    this.batches = file.batches()[Symbol.asyncIterator]()
  }

  /** Goes to the next packet of what has been read. */
  step(): boolean {
    const cursor = this.cursor as PacketCursor
    if (!cursor.next()) return false
    this.seconds = cursor.hasTimestamp ? cursor.seconds : Number.NEGATIVE_INFINITY
    this.nanoseconds = cursor.nanoseconds
    return true
  }
}

/** Reads until there is a packet, or the file is over. */
async function advance(source: Source, { onDamage }: MergeOptions, between: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      const { done, value } = await source.batches.next()
      source.cursor = done === true ? undefined : value
      if (source.cursor === undefined || source.step()) return
    } catch (error) {
      if (onDamage === undefined || !(error instanceof CaptureError)) throw error
      source.cursor = undefined
      onDamage(error, source.file)
      return
    }
    // Not within: what it throws is no fault of the file.
    await between()
  }
}

/** One file. */
class Straight implements MergedPackets {
  readonly #source: Source
  /** Its packet has not been shown. */
  #isFresh = true
  drained: Source | undefined

  constructor(source: Source) {
    this.#source = source
  }

  begin(): boolean {
    // A batch that was left early stands on a packet that has been shown.
    if (this.drained !== undefined) this.#isFresh = true
    this.drained = undefined
    return this.#source.cursor !== undefined
  }

  next(): boolean {
    if (this.#isFresh) {
      this.#isFresh = false
      return true
    }
    if ((this.#source.cursor as PacketCursor).next()) return true
    this.drained = this.#source
    return false
  }

  get packet(): PacketCursor {
    return this.#source.cursor as PacketCursor
  }

  get file(): CaptureFile {
    return this.#source.file
  }

  get fileIndex(): number {
    return this.#source.index
  }
}

/** Several files: each stands on a packet that has not been shown, but the one that was shown last. */
class Merge implements MergedPackets {
  readonly #sources: readonly Source[]
  /** Those that have a packet. */
  #live: Source[] = []
  #shown: Source | undefined
  /** The one that must read before it is known which packet is next. */
  drained: Source | undefined

  constructor(sources: readonly Source[]) {
    this.#sources = sources
  }

  begin(): boolean {
    this.#live = this.#sources.filter(({ cursor }) => cursor !== undefined)
    this.drained = undefined
    return this.#live.length > 0
  }

  next(): boolean {
    const shown = this.#shown
    this.#shown = undefined
    if (shown !== undefined && !shown.step()) {
      this.drained = shown
      return false
    }
    const live = this.#live
    let first = live[0] as Source
    for (let i = 1; i < live.length; i++) {
      const other = live[i] as Source
      if (other.seconds < first.seconds || (other.seconds === first.seconds && other.nanoseconds < first.nanoseconds)) first = other
    }
    this.#shown = first
    return true
  }

  get packet(): PacketCursor {
    return (this.#shown as Source).cursor as PacketCursor
  }

  get file(): CaptureFile {
    return (this.#shown as Source).file
  }

  get fileIndex(): number {
    return (this.#shown as Source).index
  }
}
