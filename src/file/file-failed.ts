/** What a failed file operation becomes: FILE_FAILED with the path, the call and the errno. */
import { CaptureError } from '../errors.js'
import { callFailed, EACCES, EFBIG, ENOENT, ENOSPC, EPERM, EROFS } from '../kernel/errno.js'

const HINTS: Readonly<Record<number, string>> = {
  [ENOENT]: 'the folder must be there: mkdir -p',
  [ENOSPC]: 'free some space, or write less: a filter, a snap length (-s), fewer bytes kept (--keep)',
  [EFBIG]: 'the limit on the size of a file (ulimit -f) or that of the file system; split by size (-C)',
  [EACCES]: 'check the permissions of the file and its folder',
  [EPERM]: 'check the permissions of the file and its folder',
  [EROFS]: 'write to another file system',
}

/** `errno` positive, or the negative result that carries it. */
export function fileFailed(path: string, call: string, errno: number): CaptureError {
  const hint = HINTS[Math.abs(errno)]
  return callFailed({ subject: path === '-' ? 'stdout' : path, call, errno, code: 'FILE_FAILED', ...(hint === undefined ? {} : { hint }) })
}

/** What node:fs threw or a stream ended with, as such an error. */
export function fsFailed(path: string, call: string, thrown: unknown): CaptureError {
  const { errno, message } = thrown as NodeJS.ErrnoException
  if (errno === undefined) return new CaptureError('FILE_FAILED', `${path}: ${call}: ${message}`, { cause: thrown, syscall: call })
  return fileFailed(path, call, errno)
}
