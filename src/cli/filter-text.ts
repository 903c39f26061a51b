/** The filter expression of a command line: its trailing words, or a file. */
import { readFileSync } from 'node:fs'
import { UsageError } from './usage-error.js'

/** Undefined where neither is given. As with tcpdump, words are joined with blanks, and what stands behind a # in the file is a comment. */
export function filterText(file: string | undefined, words: readonly string[]): string | undefined {
  if (file === undefined) return words.length === 0 ? undefined : words.join(' ')
  if (words.length > 0) throw new UsageError(`-F ${file} and '${words.join(' ')}' are two filters`, 'give one of them')
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`-F: ${error instanceof Error ? error.message : String(error)}`)
  }
  return text.replaceAll(/#[^\n]*/g, (comment) => ' '.repeat(comment.length)).trimEnd()
}
