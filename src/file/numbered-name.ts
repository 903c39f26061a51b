/** A name that takes the next number where another file has it: `x.pcap`, `x-2.pcap`, `x-3.pcap`. Nothing is written over. */
import { linkSync, lstatSync, renameSync, unlinkSync } from 'node:fs'

export interface NumberedName {
  /** Path up to the number. */
  before: string
  ending: string
  /** The first to try. */
  number: number
}

export function pathOfNumbered({ before, ending, number }: NumberedName): string {
  return number === 1 ? before + ending : `${before}-${number}${ending}`
}

/**
 * Gives a file the first of these names that nothing has, and answers it. link(2) makes no name that is there, whoever else is looking for one;
 * only where the file system has no links, rename(2) may replace what has come since it was looked.
 */
export function moveToNumbered(from: string, name: NumberedName): string {
  for (let { number } = name; ; number++) {
    const path = pathOfNumbered({ ...name, number })
    if (isLinked(from, path)) {
      unlinkSync(from)
      return path
    }
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) continue
    renameSync(from, path)
    return path
  }
}

/** False where there is something else, or there are no links. */
function isLinked(from: string, path: string): boolean {
  try {
    linkSync(from, path)
    return true
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return isSame(from, path)
    // The rename says what is wrong, if something is.
    return false
  }
}

/** Linked already, by a process that was killed before it took the other name away. */
function isSame(from: string, path: string): boolean {
  const one = lstatSync(from)
  const other = lstatSync(path, { throwIfNoEntry: false })
  return other !== undefined && one.dev === other.dev && one.ino === other.ino
}
