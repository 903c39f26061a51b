/** The files in which a host says what it is, /proc and /sys: those of this machine, or a recorded tree of another one. */
import { errnoName, errnoText } from '../kernel/errno.js'
import type { UnreadFact } from './facts.js'

/** Why there is no answer. */
export interface Unreadable {
  /** Positive. */
  errno: number
}

/** Paths are absolute. An answer is what stands there, or why that is not to be had; nothing throws. */
export interface HostFiles {
  read(path: string): string | Unreadable
  /** Names in a directory, in no order that means something. */
  list(path: string): readonly string[] | Unreadable
  /** What a symbolic link says, as it stands. */
  link(path: string): string | Unreadable
  /** Permission bits, as stat(2) tells them. */
  mode(path: string): number | Unreadable
  /** What others find at /sys is not what is read here: it is that of another network namespace, or none. Undefined where that is not to be told. */
  readonly foreignSysfs?: boolean | undefined
}

export interface WritableHostFiles extends HostFiles {
  /** Writes the whole text with one call. @throws CaptureError PERMISSION, FILE_FAILED with the errno of the kernel's refusal. */
  write(path: string, text: string): void
}

/** A line without the white space around it; undefined where it cannot be read. */
export function readLine(files: HostFiles, path: string): string | undefined {
  const text = files.read(path)
  return typeof text === 'string' ? text.trim() : undefined
}

/** A whole number; undefined where there is none. */
export function readNumber(files: HostFiles, path: string): number | undefined {
  const line = readLine(files, path)
  return line !== undefined && /^-?\d+$/.test(line) ? Number(line) : undefined
}

/** Names in a directory; none where there is no such directory. */
export function listNames(files: HostFiles, path: string): readonly string[] {
  const names = files.list(path)
  return isUnreadable(names) ? [] : names
}

export function isUnreadable(answer: string | number | readonly string[] | Unreadable): answer is Unreadable {
  return typeof answer === 'object' && 'errno' in answer
}

/** `EACCES: permission denied`. */
export function unreadFact(what: string, source: string, { errno }: Unreadable): UnreadFact {
  return { what, source, reason: `${errnoName(errno)}: ${errnoText(errno)}` }
}
