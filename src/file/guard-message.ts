/** What is said to the guard process, a line of JSON each. */
import type { NumberedName } from './numbered-name.js'

/** The shared memory with the lengths, a Float64 for each slot. */
export const GUARD_MEMORY_FD = 3

export interface GuardedFile {
  /** Where it is now; absolute. */
  path: string
  /** Where it belongs; undefined when it is there. */
  finalPath?: string | undefined
  /** That it gets the first of these names that is free, instead; absolute. */
  numbered?: NumberedName | undefined
  /** Which file it must be; undefined while it may not be there yet. */
  device?: number | undefined
  inode?: number | undefined
}

export interface GuardMessage {
  slot: number
  /** Undefined: it is finished, there is nothing more to guard. */
  file?: GuardedFile
}
