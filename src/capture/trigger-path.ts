/** What the file of a trigger is called. Pure. */
import { basename, dirname, join } from 'node:path'
import { type NumberedName, pathOfNumbered } from '../file/numbered-name.js'
import { strftime } from '../file/strftime.js'

/**
 * A `%` in the path begins a conversion of strftime(3); a path without has the time before its ending: `x.20250131-235959.pcapng`. A
 * name that is taken gets a number, `x.20250131-235959-2.pcapng`: of the past nothing is written over.
 */
export function nameOfTrigger(path: string, at: Date, isTaken: (path: string) => boolean): NumberedName {
  const [before, ending] = splitEnding(path)
  const [first, last] = path.includes('%') ? splitEnding(strftime(path, at)) : [`${before}.${strftime('%Y%m%d-%H%M%S', at)}`, ending]
  const name = { before: first, ending: last, number: 1 }
  while (isTaken(pathOfNumbered(name))) name.number++
  return name
}

/** `x.pcapng.gz` is `x` and `.pcapng.gz`; a name that begins with its only dot has no ending. */
function splitEnding(path: string): [before: string, ending: string] {
  const name = basename(path)
  const ending = /(?<=.)\.[^.]*(\.(gz|zst))?$/.exec(name)?.[0] ?? ''
  const before = name.slice(0, name.length - ending.length)
  return [path.includes('/') ? join(dirname(path), before) : before, ending]
}
