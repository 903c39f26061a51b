/** Journals below /run, which a reboot empties, as it does the settings. */
import { closeSync, constants, fsyncSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CaptureError } from '../../errors.js'
import { errnoName } from '../../kernel/errno.js'
import type { JournalStore, TunedInterface } from './access.js'
import { parseJournal, readJournal } from './journal.js'
import type { Setting } from './setting.js'

export const JOURNAL_DIRECTORY = '/run/ringtap'

/**
 * The journal of an interface: named by namespace and index, so that it is found under another name, too. Where there is none of that index, one
 * that has the interface's name is answered: it is of an interface that is gone, and the reader has to be told.
 */
export function journalFile({ netnsInode, index, name }: TunedInterface, directory = JOURNAL_DIRECTORY): JournalStore {
  const own = join(directory, `tune-${netnsInode}-${index}.json`)
  const path = readText(own) === undefined ? (ofName(directory, netnsInode, name) ?? own) : own
  return storeAt(directory, path)
}

function storeAt(directory: string, path: string): JournalStore {
  return {
    path,
    others: () => journalPaths(directory).flatMap((other) => (other === path ? [] : [storeAt(directory, other)])),
    read: () => readText(path),
    write: (text) => writeDurably(directory, path, text),
    remove() {
      inWords(path, 'unlink', () => rmSync(path, { force: true }))
      syncDirectory(directory)
    },
  }
}

export interface FoundJournal {
  path: string
  /** When tuning began; undefined where the journal may not be read. */
  since: string | undefined
  /** Why it is of no use: damaged, of another interface, or readable by root alone. */
  problem: string | undefined
}

/** What is to be said of an interface's journal without touching anything, and the settings in it; undefined without one. */
export function findJournal(of: TunedInterface, directory = JOURNAL_DIRECTORY): (FoundJournal & { before: Setting[] }) | undefined {
  const own = join(directory, `tune-${of.netnsInode}-${of.index}.json`)
  let path = own
  try {
    const store = journalFile(of, directory)
    path = store.path
    const journal = readJournal(store, of)
    return journal && { path, since: journal.since, problem: undefined, before: journal.before }
  } catch (error) {
    return { path, since: undefined, problem: (error as Error).message, before: [] }
  }
}

/** None where there is no such directory. */
function journalPaths(directory: string, prefix = 'tune-'): string[] {
  try {
    const files = readdirSync(directory).filter((file) => file.startsWith(prefix) && file.endsWith('.json'))
    return files.map((file) => join(directory, file))
  } catch {
    return []
  }
}

function ofName(directory: string, netnsInode: number, name: string): string | undefined {
  return journalPaths(directory, `tune-${netnsInode}-`).find((path) => {
    const text = readText(path)
    return text !== undefined && parseJournal(text, path).interface.name === name
  })
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw failed(path, 'open', error)
  }
}

/** Makes it where it is not, and answers a descriptor of it. @throws CaptureError PERMISSION, FILE_FAILED */
export function openJournalDirectory(directory = JOURNAL_DIRECTORY): number {
  makeDirectory(directory)
  return inWords(directory, 'open', () => openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY))
}

function makeDirectory(directory: string): void {
  inWords(directory, 'mkdir', () => mkdirSync(directory, { recursive: true, mode: 0o700 }))
}

function writeDurably(directory: string, path: string, text: string): void {
  makeDirectory(directory)
  assertOwn(directory)
  const temporary = `${path}.new`
  inWords(temporary, 'write', () => {
    // What a killed apply left is nobody's.
    rmSync(temporary, { force: true })
    const fd = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
    try {
      // NB: writes on after a short write, which writeSync does not.
      writeFileSync(fd, text)
      fsyncSync(fd)
      renameSync(temporary, path)
    } catch (error) {
      rmSync(temporary, { force: true })
      throw error
    } finally {
      closeSync(fd)
    }
  })
  syncDirectory(directory)
}

/** A revert does as root what a journal says: nobody else may have put it there. */
function assertOwn(directory: string): void {
  const { uid, mode } = lstatSync(directory)
  if (uid === process.getuid?.() && (mode & 0o022) === 0) return
  throw new CaptureError('TUNING_FAILED', `${directory} belongs to user ${uid} with mode ${(mode & 0o7777).toString(8)}: others could write journals there`, {
    hint: `chown root ${directory} && chmod 700 ${directory}`,
  })
}

/** The name is on the disk only when the directory is. */
function syncDirectory(directory: string): void {
  inWords(directory, 'fsync', () => {
    const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  })
}

function inWords<T>(path: string, call: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw failed(path, call, error)
  }
}

function failed(path: string, syscall: string, cause: unknown): CaptureError {
  const errno = Math.abs((cause as NodeJS.ErrnoException).errno ?? 0)
  const denied = ['EACCES', 'EPERM'].includes((cause as NodeJS.ErrnoException).code ?? '')
  return new CaptureError(denied ? 'PERMISSION' : 'FILE_FAILED', `journal of tuning: ${(cause as Error).message}`, {
    syscall,
    errno,
    errnoName: errnoName(errno),
    cause,
    hint: denied ? 'tuning changes the machine: run as root' : `${path} keeps what a revert needs, and nothing is changed without it`,
  })
}
