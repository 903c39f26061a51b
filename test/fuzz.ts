/**
 * The unit tests that draw random numbers, again and again with others, for so many minutes: `npm run fuzz -- [minutes [files ...]]`.
 * Ends with status 1 if one failed, and says its file, name and seed; `TEST_SEED=N` with that file shows it again.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { run } from 'node:test'

const minutes = Number(process.argv[2] ?? 10)
if (!(minutes > 0)) throw new Error(`Expected minutes, got ${process.argv[2]}`)
const given = process.argv.slice(3)
const files = given.length > 0 ? given : testFiles(join(import.meta.dirname, 'unit'))
const started = Date.now()
const end = started + minutes * 60_000
process.env.TEST_SEED = 'random'

/** Of each file, the names of its tests that say a seed. */
const seeded = new Map<string, Set<string>>()
const failures: string[] = []
let tests = 0

function testFiles(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.js'))
  return names
    .sort()
    .map((name) => join(folder, name))
    .filter((file) => readFileSync(file, 'utf8').includes('seededRandom'))
}

interface Round {
  files: string[]
  names?: RegExp[]
  isFirst?: boolean
}

async function round({ files, names, isFirst = false }: Round): Promise<void> {
  const ended: { at: string; file: string; name: string; error?: string; seed?: string }[] = []
  const stream = run({ files, ...(names && { testNamePatterns: names }), concurrency: availableParallelism() })
  stream.on('test:pass', ({ name, file, line, column }) => ended.push({ at: `${file}:${line}:${column}`, file: file ?? '', name }))
  stream.on('test:fail', ({ name, file, line, column, details }) =>
    ended.push({ at: `${file}:${line}:${column}`, file: file ?? '', name, error: String(details.error.cause ?? details.error) }),
  )
  // What a test says comes behind its end; tests that a loop makes have one place.
  stream.on('test:diagnostic', ({ message, file, line, column }) => {
    const test = ended.findLast(({ at }) => at === `${file}:${line}:${column}`)
    if (test && message.startsWith('TEST_SEED=')) test.seed = message
  })
  for await (const _ of stream);
  for (const { seed, file, name, error } of ended) {
    if (seed === undefined) continue
    tests++
    if (isFirst) seeded.set(file, (seeded.get(file) ?? new Set()).add(name))
    if (error === undefined) continue
    failures.push(`${seed} ${file} ${name}`)
    console.log(`${failures.at(-1)}\n  ${error.slice(0, 1000)}`)
  }
}

await round({ files, isFirst: true })
console.log(
  `round 1 took ${Math.round((Date.now() - started) / 1000)} s; ${[...seeded.values()].reduce((sum, names) => sum + names.size, 0)} tests of ${seeded.size} files draw random numbers`,
)
const exactly = (name: string) => new RegExp(`(^|\\s)${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`)
const names = [...seeded.values()].flatMap((names) => [...names].map(exactly))
let rounds = 1
for (; Date.now() < end; rounds++) await round({ files: [...seeded.keys()], names })
console.log(`${tests} tests in ${rounds} rounds, ${failures.length} failed`)
process.exitCode = failures.length > 0 ? 1 : 0
