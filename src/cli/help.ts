/** The table as text for a terminal. */
import { COMMANDS, type CommandRow, type OptionRow } from './table.js'
import { KINDS } from './units.js'

const WIDTH = 100

export function generalHelp(version: string): string {
  const width = Math.max(...COMMANDS.map((row) => row.name.length))
  return [
    `ringtap ${version}: packet capture for Linux at line rate, through nothing but the kernel's own interfaces.`,
    '',
    'Usage: ringtap <command> [options]',
    '',
    'Commands:',
    ...COMMANDS.map((row) => `  ${row.name.padEnd(width)}  ${row.summary}`),
    '',
    'ringtap <command> --help says more of each. Letters mean what they mean in tcpdump: ringtap capture -i eth0 -c 1000',
    '',
  ].join('\n')
}

export function commandHelp(command: CommandRow): string {
  const lines = [`Usage: ${command.usage}`, '']
  for (const paragraph of command.doc) lines.push(...wrap(paragraph, WIDTH), '')
  if (command.actions !== undefined) {
    const width = Math.max(...command.actions.map(([action]) => action.length))
    lines.push('Actions:', ...command.actions.map(([action, meaning]) => `  ${action.padEnd(width)}  ${meaning}`), '')
  }
  for (const group of groupsOf(command)) {
    lines.push(`${group}:`)
    for (const option of command.options) if (option.group === group) lines.push(...optionLines(option))
    lines.push('')
  }
  lines.push('Examples:')
  for (const [example, meaning] of command.examples) lines.push(`  ${example}`, `      ${meaning}`)
  lines.push('')
  return lines.join('\n')
}

export function groupsOf(command: CommandRow): string[] {
  return [...new Set(command.options.map((option) => option.group))]
}

/** `-i, --interface IFACE`. */
export function optionSyntax(option: OptionRow): string {
  const metavar = metavarOf(option)
  return `${option.letter === undefined ? '' : `-${option.letter}, `}--${option.name}${metavar === '' ? '' : ` ${metavar}`}`
}

export function metavarOf(option: OptionRow): string {
  if (option.kind === 'flag') return ''
  return option.metavar ?? (option.kind === 'enum' ? (option.values ?? []).join('|') : KINDS[option.kind].metavar)
}

function optionLines(option: OptionRow): string[] {
  const column = 34
  const shown = option.default ?? option.libraryDefault
  const text = wrap(shown === undefined ? option.doc : `${option.doc} (default: ${shown})`, WIDTH - column)
  const syntax = `  ${option.letter === undefined ? '    ' : ''}${optionSyntax(option)}`
  const [first, ...rest] =
    syntax.length > column - 2
      ? [syntax, ...text.map((line) => ' '.repeat(column) + line)]
      : [syntax.padEnd(column) + (text[0] ?? ''), ...text.slice(1).map((line) => ' '.repeat(column) + line)]
  return [first ?? '', ...rest]
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  lines.push(line)
  return lines
}
