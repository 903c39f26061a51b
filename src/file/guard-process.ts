/**
 * The guard: a process of its own, so that it outlives a main process that is killed (SIGKILL, out of memory). It is told over its
 * stdin which files are being written and under which name they belong, and reads from shared memory how long each is in whole
 * records. When the main process is gone its end of stdin closes: then no thread of it can be inside a write(2) any more, and the
 * guard cuts each file to its length, gives it its name, and ends. A file in which nothing was written yet is removed.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, renameSync, unlinkSync } from 'node:fs'
import { becomeUser } from '../kernel/user.js'
import { GUARD_MEMORY_FD, type GuardedFile, type GuardMessage } from './guard-message.js'
import { moveToNumbered } from './numbered-name.js'

// The main process is going to give up its privileges, and what is in a user's folders is better left to that user.
const [user, group] = process.argv.slice(2)
if (user !== undefined) becomeUser(user, Number(group))

const files = new Map<number, GuardedFile>()

/** Signals that a terminal or a service manager sends to the whole group: the main process ends in its own way. */
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const) process.on(signal, () => {})
process.title = 'ringtap-guard'

let rest = ''
process.stdin.setEncoding('utf8')
process.stdin.on('data', (text: string) => {
  const lines = (rest + text).split('\n')
  rest = lines.pop() as string
  for (const line of lines) obey(JSON.parse(line) as GuardMessage)
})
process.stdin.on('end', finishAll)
process.stdin.on('error', finishAll)

function obey({ slot, file }: GuardMessage): void {
  if (file === undefined) files.delete(slot)
  else files.set(slot, file)
}

function finishAll(): void {
  for (const [slot, file] of files) {
    try {
      finish(file, committedLength(slot))
    } catch {
      // There is nobody to tell, and there may be other files.
    }
  }
  process.exit()
}

function committedLength(slot: number): number {
  const length = new Float64Array(1)
  const bytes = new Uint8Array(length.buffer)
  if (readSync(GUARD_MEMORY_FD, bytes, 0, 8, slot * 8) !== 8) throw new Error('the shared memory is shorter than its slots')
  return length[0] as number
}

function finish({ path, finalPath, numbered, device, inode }: GuardedFile, length: number): void {
  const fd = openSync(path, 'r+')
  try {
    const status = fstatSync(fd)
    // Another file by now: the one that was guarded has been renamed or removed.
    if (inode !== undefined && (status.dev !== device || status.ino !== inode)) return
    if (status.size > length) ftruncateSync(fd, length)
  } finally {
    closeSync(fd)
  }
  if (length === 0) unlinkSync(path)
  else if (numbered !== undefined) moveToNumbered(path, numbered)
  else if (finalPath !== undefined) renameSync(path, finalPath)
}
