/**
 * Every command and option of the command line, as data. Help, parsing, defaults and docs/cli.md are made from this table and from
 * nothing else. A letter that tcpdump has means what it means there, in every command.
 */
import { BENCH } from './table/bench.js'
import { CAPTURE } from './table/capture.js'
import { COUNT } from './table/count.js'
import { DOCTOR } from './table/doctor.js'
import { FILTER } from './table/filter.js'
import { FLOOD } from './table/flood.js'
import { INTERFACES } from './table/interfaces.js'
import { RATE } from './table/rate.js'
import { READ } from './table/read.js'
import { REPLAY } from './table/replay.js'
import type { CommandRow } from './table/row.js'
import { SIZE } from './table/size.js'
import { TUNE } from './table/tune.js'
import type { KindName, KindValue } from './units.js'

export type { CommandRow, OptionRow } from './table/row.js'

export const COMMANDS = [CAPTURE, INTERFACES, RATE, COUNT, FILTER, FLOOD, READ, REPLAY, DOCTOR, TUNE, SIZE, BENCH] as const satisfies readonly CommandRow[]

export type CommandName = (typeof COMMANDS)[number]['name']

type CamelCase<S extends string> = S extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<CamelCase<Tail>>}` : S
type RowOf<C extends CommandName> = Extract<(typeof COMMANDS)[number], { name: C }>
type OptionsOf<C extends CommandName> = RowOf<C>['options'][number]
type ValueOf<O> = O extends { kind: 'flag'; repeats: true }
  ? number
  : O extends { kind: 'flag' }
    ? boolean
    : O extends { kind: 'enum'; values: readonly (infer V)[] }
      ? V
      : O extends { kind: infer K extends KindName; repeats: true }
        ? KindValue<K>[]
        : O extends { kind: infer K extends KindName }
          ? KindValue<K>
          : never

type ActionOf<C extends CommandName> = RowOf<C> extends { actions: readonly (readonly [infer A, string])[] } ? { action: A } : unknown

/**
 * What the parser gives a command: options by name in camelCase, and its action. Those with a default and flags are always there; the rest only
 * when given.
 */
export type ValuesOf<C extends CommandName> = ActionOf<C> & {
  [O in OptionsOf<C> as O extends { default: string } | { kind: 'flag' } ? CamelCase<O['name']> : never]: ValueOf<O>
} & {
  [O in OptionsOf<C> as O extends { default: string } | { kind: 'flag' } ? never : CamelCase<O['name']>]?: ValueOf<O>
}

export function findCommand(name: string): CommandRow | undefined {
  return COMMANDS.find((row) => row.name === name)
}

/** tcpdump's letters that come later, with what they do: a user of tcpdump is told so instead of being offered a typing error. */
export const TCPDUMP_LETTERS_TO_COME: Readonly<Record<string, string>> = {
  e: 'print link-layer headers',
  x: 'print packets in hexadecimal',
  X: 'print packets in hexadecimal and ASCII',
  A: 'print packets in ASCII',
  t: 'choose how time is printed',
}
