/** How much of the heap a program keeps of what it does again and again. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** Runs a module in a process of its own, whose last line of output is the growth in bytes that `growthOf` found. */
export async function heapGrowth(module: URL, ...words: string[]): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', fileURLToPath(module), ...words], { timeout: 60_000 })
  return Number(stdout)
}

/** In such a process: what `turns` calls keep, after as many that warm it up. */
export async function growthOf(turns: number, turn: () => Promise<void>): Promise<number> {
  const used = async () => {
    // What was freed is gone when the queues have run empty.
    await new Promise((resolve) => setTimeout(resolve, 50))
    gc?.()
    return process.memoryUsage().heapUsed
  }
  const run = async () => {
    for (let i = 0; i < turns; i++) await turn()
  }
  await run()
  const before = await used()
  await run()
  return (await used()) - before
}
