/** What a row of the command table is, and what rows share. */
import type { KindName } from '../units.js'

export interface OptionRow {
  /** Long name without the dashes: the API's name in kebab-case, without the unit that the value carries itself. */
  name: string
  /** tcpdump's letter, where tcpdump has one. */
  letter?: string
  /** Other long names, tcpdump's. */
  aliases?: readonly string[]
  kind: KindName | 'flag' | 'enum'
  /** Of an `enum`. */
  values?: readonly string[]
  /** Stands for the value in the help, where the kind's own word says too little. */
  metavar?: string
  /** May be given several times; the value is a list, of a flag how often. */
  repeats?: true
  /** The value when the option is not given, as a user would write it. */
  default?: string
  /** What the library takes when the option is not given; for the reader. */
  libraryDefault?: string
  /** In the unit of the parsed value. Bounds that only the command line knows, or those of the library, for a refusal that says what was typed. */
  min?: number
  max?: number
  /** Name of the same thing in the API. An error of the library that speaks of it is printed with the option's name. */
  api?: string
  group: string
  /** One line. */
  doc: string
}

export interface CommandRow {
  name: string
  usage: string
  /** One line, for the list of commands. */
  summary: string
  /** Paragraphs. */
  doc: readonly string[]
  /** Trailing words are a pcap-filter expression; other commands take none. */
  takesFilter?: true
  /** One trailing word is a file; of a command that takes a filter as well, those that come first. */
  takesFile?: true
  /** The first word behind the command, which has to be one of them; the parser gives it as `action`. Such a command takes no other words. */
  actions?: readonly (readonly [action: string, meaning: string])[]
  /** Of a command that answers with 1 and 3: its exit status, whatever fails, so that no answer is taken for what is none. */
  failureStatus?: number
  options: readonly OptionRow[]
  examples: readonly (readonly [command: string, meaning: string])[]
}

export const WHAT = 'What to capture'
export const HOW = 'How'
export const OUTPUT = 'Output'
export const FILE = 'File'
export const PAST = 'Time machine'
export const WHAT_TO_READ = 'What to read'
export const HOW_TO_PRINT = 'How to print'
export const INSTEAD = 'Instead'

export const NETNS = {
  name: 'netns',
  kind: 'string',
  metavar: 'NAME|PATH|PID',
  api: 'netns',
  doc: 'network namespace: a name in /run/netns, a path, or a pid',
} as const

/** setTimeout's limit, 24.8 days: a longer time is 1 ms to it. */
export const MAX_TIMER_MS = 2 ** 31 - 1

export const JSON_LINES = { name: 'json', kind: 'flag', group: OUTPUT, doc: 'JSON lines instead of text' } as const

export const FILTER_FILE = {
  name: 'filter-file',
  letter: 'F',
  kind: 'string',
  metavar: 'FILE',
  doc: 'read the filter expression from a file; # begins a comment',
} as const

export const KIND_NAMES = ['syn', 'udp', 'icmp', 'mix'] as const
