/** What `ringtap read` is asked for, from its values and words. Nothing is opened here; whether a word is a file is for the caller to say. */
import type { DumpFormat, PacketTextOptions, TimeFormat } from '../text.js'
import { filterText } from './filter-text.js'
import type { ValuesOf } from './table.js'
import { UsageError } from './usage-error.js'

type Values = ValuesOf<'read'>

export interface ReadPlan {
  files: readonly string[]
  /** Undefined for every packet. */
  filter: string | undefined
  what: 'print' | 'json' | 'count' | 'info' | 'write'
}

export function readPlan(values: Values, words: readonly string[], beforeDashes: number, isFile: (path: string) => boolean): ReadPlan {
  const { files, rest } = filesOf(values.read, words, beforeDashes, isFile)
  const filter = filterText(values.filterFile, rest)
  const asked = [values.count && '--count', values.info && '--info', values.write !== undefined && '-w'].filter((name) => name !== false)
  if (asked.length > 1) throw new UsageError(`${asked.join(' and ')} do not go together`, 'give one of them')
  const what = values.count ? 'count' : values.info ? 'info' : values.write !== undefined ? 'write' : values.json ? 'json' : 'print'
  checkOptions(values, what)
  if (files.filter((file) => file === '-').length > 1) throw new UsageError('standard input is given more than once')
  return { files, filter, what }
}

/** With -r all words are the filter; else the first is a file, and those behind it that are files. */
function filesOf(
  read: readonly string[] | undefined,
  words: readonly string[],
  beforeDashes: number,
  isFile: (path: string) => boolean,
): { files: readonly string[]; rest: readonly string[] } {
  if (read !== undefined) return { files: read, rest: words }
  if (beforeDashes === 0) throw new UsageError('which file? FILE is missing', 'ringtap read FILE; - is standard input')
  let count = 1
  while (count < beforeDashes && (words[count] === '-' || isFile(words[count] as string))) count++
  return { files: words.slice(0, count), rest: words.slice(count) }
}

/** The word that a filter is no filter for, as it was meant to be a file. */
export function missingFile(words: readonly string[], isFile: (path: string) => boolean): string | undefined {
  return words.find((word) => looksLikeFile(word) && !isFile(word))
}

/** Ends as capture files do, or is a path; networks have a slash, too. */
function looksLikeFile(word: string): boolean {
  if (/\.(?:pcap|pcapng|cap|dmp|ntar)\d*(?:\.(?:gz|zst))?$/i.test(word)) return true
  return /[^\s/]\/|\/[^\s/]/.test(word) && !/[\s()]|\/\d+$/.test(word)
}

function checkOptions(values: Values, what: ReadPlan['what']): void {
  const ofWriting = {
    '--format': values.format,
    '--compression': values.compression,
    '--compression-level': values.compressionLevel,
    '-C': values.rotateSize,
    '-G': values.rotateTime,
    '-W': values.files,
    '--keep': values.keep,
    '-z': values.command,
    '-U': values.packetBuffered || undefined,
  }
  const alone = Object.entries(ofWriting).find(([, value]) => value !== undefined)?.[0]
  if (alone !== undefined && what !== 'write') throw new UsageError(`${alone} goes with -w FILE`)
  for (const [name, value] of Object.entries({ '-W': values.files, '--keep': values.keep })) {
    if (value !== undefined && values.rotateSize === undefined && values.rotateTime === undefined) throw new UsageError(`${name} goes with -C or -G`)
  }
  if (values.sha256 && what !== 'info') throw new UsageError('--sha256 goes with --info')
  if (values.limit !== undefined && what === 'info') throw new UsageError('-c does not go with --info', '--from, --until and a filter do')
  if (values.timestamps > 5) throw new UsageError('-t is given at most five times', 'ringtap read --help says what each means')
  if (values.rotateTime !== undefined && values.rotateTime % 1000 !== 0) throw new UsageError('-G: expected whole seconds')
  precisionOf(values)
}

const TIMES: readonly TimeFormat[] = ['local', 'none', 'epoch', 'previous', 'date', 'first']

export function textOptions(values: Values): PacketTextOptions {
  return {
    time: TIMES[values.timestamps],
    nanoseconds: precisionOf(values) === 'ns',
    number: values.number,
    link: values.link,
    verbosity: Math.min(values.verbose, 2),
    quiet: values.quiet,
    dump: dumpOf(values),
    // As with tcpdump, 0 is the default.
    snapLengthBytes: values.snapLength === 0 ? undefined : values.snapLength,
  }
}

/** As tcpdump: -A before -X before -x, whichever are given. */
function dumpOf({ hex, hexAscii, ascii }: Values): DumpFormat {
  if (ascii > 0) return ascii > 1 ? 'asciiLink' : 'ascii'
  if (hexAscii > 0) return hexAscii > 1 ? 'hexAsciiLink' : 'hexAscii'
  if (hex > 0) return hex > 1 ? 'hexLink' : 'hex'
  return 'none'
}

/** Undefined where nothing is said. */
export function precisionOf({ nano, micro, precision }: Values): 'ns' | 'us' | undefined {
  const isNano = nano || precision === 'nano' || precision === 'ns'
  const isMicro = micro || precision === 'micro' || precision === 'us'
  if (isNano && isMicro) throw new UsageError('nanoseconds and microseconds do not go together', 'give one of --nano and --micro')
  return isNano ? 'ns' : isMicro ? 'us' : undefined
}
