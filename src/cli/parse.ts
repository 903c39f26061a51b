/** argv to values, over the table. getopt_long's grammar, which tcpdump's users type without thinking: `-nvi eth0`, `-c10`, `--ring=1G`, `--`. */
import { nearestWord } from './suggest.js'
import { COMMANDS, type CommandName, type CommandRow, findCommand, type OptionRow, TCPDUMP_LETTERS_TO_COME, type ValuesOf } from './table.js'
import { KINDS } from './units.js'
import { UsageError } from './usage-error.js'

export type Invocation =
  | { run: 'version' }
  | { run: 'help'; command: CommandRow | undefined }
  | { [C in CommandName]: { run: C; values: ValuesOf<C>; words: string[]; beforeDashes: number } }[CommandName]

export function parseArguments(argv: readonly string[]): Invocation {
  const [first, ...rest] = argv
  if (first === undefined) throw new UsageError('which command?', `one of ${COMMANDS.map((row) => row.name).join(', ')}; ringtap --help says more`)
  if (first === '--help' || first === '-h') return { run: 'help', command: undefined }
  if (first === '--version') return { run: 'version' }
  if (first === '-D' || first === '--list-interfaces') return invoke('interfaces', rest)
  if (first === 'help') return { run: 'help', command: rest[0] === undefined ? undefined : requireCommand(rest[0]) }
  if (first.startsWith('-')) throw new UsageError(`a command comes before its options, got '${first}'`, `ringtap capture ${argv.join(' ')}`)
  return invoke(requireCommand(first).name, rest)
}

function invoke(name: string, argv: readonly string[]): Invocation {
  const command = requireCommand(name)
  if (argv.length === 1 && argv[0] === 'help') return { run: 'help', command }
  const parsed = parseOptions(command, argv)
  if (parsed === 'help') return { run: 'help', command }
  // The values were made from the same row that their type is inferred from.
  return { run: command.name, ...parsed } as Invocation
}

function requireCommand(name: string): CommandRow {
  const command = findCommand(name)
  if (command !== undefined) return command
  const near = nearestWord(name, [...COMMANDS.map((row) => row.name), 'help'])
  throw new UsageError(`there is no command '${name}'`, near === undefined ? 'ringtap --help lists the commands' : `did you mean ringtap ${near}?`)
}

/** `beforeDashes`: how many of the words stood before a `--`; all without one. */
type Parsed = { values: Record<string, unknown>; words: string[]; beforeDashes: number }

export function parseOptions(command: CommandRow, argv: readonly string[]): Parsed | 'help' {
  const values: Record<string, unknown> = {}
  const words: string[] = []
  const pending = [...argv]
  let beforeDashes: number | undefined

  const take = (option: OptionRow, shown: string, inline: string | undefined): void => {
    const text = inline ?? pending.shift()
    if (text === undefined) throw new UsageError(`${shown}: a value is missing; expected ${expectation(option)}`, helpHint(command))
    setValue(values, option, parseValue(option, shown, text))
  }

  for (let argument = pending.shift(); argument !== undefined; argument = pending.shift()) {
    if (argument === '--') {
      beforeDashes = words.length
      words.push(...pending)
      break
    }
    if (argument === '--help' || argument === '-h') return 'help'
    if (argument.startsWith('--')) {
      const equals = argument.indexOf('=')
      const shown = equals < 0 ? argument : argument.slice(0, equals)
      const inline = equals < 0 ? undefined : argument.slice(equals + 1)
      const option = requireOption(command, shown)
      if (option.kind !== 'flag') take(option, shown, inline)
      else if (inline === undefined) setValue(values, option, true)
      else throw new UsageError(`${shown} takes no value, got '${inline}'`, helpHint(command))
    } else if (argument.startsWith('-') && argument.length > 1) {
      for (let at = 1; at < argument.length; at++) {
        const shown = `-${argument[at]}`
        const option = requireLetter(command, shown)
        if (option.kind === 'flag') {
          setValue(values, option, true)
        } else {
          take(option, shown, at + 1 < argument.length ? argument.slice(at + 1) : undefined)
          break
        }
      }
    } else {
      words.push(argument)
    }
  }

  if (command.actions !== undefined) values.action = takeAction(command, words)
  if (words.length > 0 && command.takesFilter !== true && command.takesFile !== true) {
    throw new UsageError(`ringtap ${command.name} takes options only, got '${words.join(' ')}'`, interfaceHint(command, values, words) ?? helpHint(command))
  }
  if (words.length > 0 && command.takesFilter === true) {
    const hint = interfaceHint(command, values, words)
    if (hint !== undefined) throw new UsageError(`which interface? got only '${words[0]}'`, hint)
  }
  for (const option of command.options) {
    const key = camelCase(option.name)
    if (values[key] !== undefined) continue
    if (option.kind === 'flag') values[key] = option.repeats === true ? 0 : false
    else if (option.default !== undefined) values[key] = parseValue(option, `--${option.name}`, option.default)
  }
  return { values, words, beforeDashes: beforeDashes ?? words.length }
}

/** Takes the first of the words away. */
function takeAction({ name, actions = [] }: CommandRow, words: string[]): string {
  const known = actions.map(([action]) => action)
  const word = words.shift()
  if (word !== undefined && known.includes(word)) return word
  const near = word === undefined ? undefined : nearestWord(word, known)
  const hint = near === undefined ? `ringtap ${name} ${known[0]} ..., or ${known.slice(1).join(', ')}` : `did you mean ringtap ${name} ${near}?`
  throw new UsageError(word === undefined ? `ringtap ${name}: what is to be done?` : `ringtap ${name} does not know '${word}'`, hint)
}

function setValue(values: Record<string, unknown>, option: OptionRow, value: unknown): void {
  const key = camelCase(option.name)
  if (option.kind === 'flag' && option.repeats === true) values[key] = ((values[key] as number | undefined) ?? 0) + 1
  else if (option.repeats === true) values[key] = [...((values[key] as unknown[] | undefined) ?? []), value]
  else values[key] = value
}

export function parseValue(option: OptionRow, shown: string, text: string): unknown {
  const value = option.kind === 'flag' ? undefined : option.kind === 'enum' ? option.values?.find((known) => known === text) : KINDS[option.kind].parse(text)
  if (value === undefined) throw new UsageError(`${shown}: expected ${expectation(option)}, got '${text}'`)
  if (typeof value === 'number') {
    if (option.min !== undefined && value < option.min) throw new UsageError(`${shown}: expected at least ${bound(option, option.min)}, got '${text}'`)
    if (option.max !== undefined && value > option.max) throw new UsageError(`${shown}: expected at most ${bound(option, option.max)}, got '${text}'`)
  }
  return value
}

function expectation(option: OptionRow): string {
  if (option.kind === 'flag') return 'no value'
  if (option.kind === 'enum') return `one of ${option.values?.join(', ')}`
  if (option.kind === 'string') return option.metavar ?? KINDS.string.expected
  return KINDS[option.kind].expected
}

/** As a user would write it. */
function bound({ kind }: OptionRow, value: number): string {
  switch (kind) {
    case 'duration':
    case 'seconds':
      return value >= 1000 ? `${value / 1000}s` : value >= 1 || value === 0 ? `${value}ms` : `${value * 1000}us`
    case 'percent':
      return `${value * 100}%`
    case 'nanoseconds':
      return `${value}ns`
    case 'bit-rate':
      return value >= 1e9 ? `${value / 1e9}G` : `${value / 1e6}M`
    default:
      return String(value)
  }
}

function requireOption(command: CommandRow, shown: string): OptionRow {
  const name = shown.slice(2)
  const option = command.options.find((row) => row.name === name || row.aliases?.includes(name))
  if (option !== undefined) return option
  const names = command.options.flatMap((row) => [row.name, ...(row.aliases ?? [])])
  const near = nearestWord(name, [...names, 'help'])
  throw new UsageError(`ringtap ${command.name} has no option ${shown}`, near === undefined ? helpHint(command) : `did you mean --${near}?`)
}

function requireLetter(command: CommandRow, shown: string): OptionRow {
  const letter = shown.slice(1)
  const option = command.options.find((row) => row.letter === letter)
  if (option !== undefined) return option
  const toCome = TCPDUMP_LETTERS_TO_COME[letter]
  if (toCome !== undefined && command.takesFilter === true) {
    throw new UsageError(`${shown} (${toCome}) is not there yet`, 'use tcpdump for it, or a handler of your own')
  }
  const other = command.takesFilter === true ? COMMANDS.find((row: CommandRow) => row.takesFilter && row.options.some((it) => it.letter === letter)) : undefined
  throw new UsageError(`ringtap ${command.name} has no option ${shown}`, other === undefined ? helpHint(command) : `ringtap ${other.name} has it`)
}

function helpHint(command: CommandRow): string {
  return `ringtap ${command.name} --help lists the options`
}

/** `ringtap capture eth0` is a natural thing to type. */
function interfaceHint(command: CommandRow, values: Record<string, unknown>, words: readonly string[]): string | undefined {
  const takesInterface = command.options.some((row) => row.name === 'interface')
  return takesInterface && values.interface === undefined && words.length === 1
    ? `an interface is given with -i: ringtap ${command.name} -i ${words[0]}`
    : undefined
}

function camelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
}
