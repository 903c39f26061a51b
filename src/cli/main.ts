#!/usr/bin/env node
/** The `ringtap` command. A command's module, and with it the library, is loaded only when it runs. */
import './signals.js'
import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { describeFailure, EXIT, failureDocument, failureLines } from './exit-status.js'
import { type ProcessIo, processIo } from './io.js'
import { type Invocation, parseArguments } from './parse.js'
import { findCommand } from './table.js'

async function main(argv: readonly string[], io: ProcessIo): Promise<number> {
  let invocation: Invocation | undefined
  try {
    invocation = parseArguments(argv)
    const status = await run(invocation, io)
    await io.flush()
    if (io.failure !== undefined) throw new Error(`writing to stdout failed: ${io.failure.message}`)
    return status
  } catch (error) {
    // Interrupted before anything had begun: there is nothing to finish and nothing to say.
    if (io.signal.aborted && error === io.signal.reason && io.failure === undefined) return EXIT.done
    const failure = describeFailure(error, invocation && findCommand(invocation.run))
    for (const line of failureLines(failure)) io.err(line)
    if (failure.code === 'INVALID_FILTER') await underline(error, io)
    if (invocation !== undefined && wantsJson(invocation)) io.out(JSON.stringify(failureDocument(failure)))
    if (process.env.RINGTAP_DEBUG === '1') io.err(inspect(error))
    return failure.status
  }
}

async function run(invocation: Invocation, io: ProcessIo): Promise<number> {
  switch (invocation.run) {
    case 'version':
      io.out(`ringtap ${version()}`)
      return EXIT.done
    case 'help': {
      const { commandHelp, generalHelp } = await import('./help.js')
      io.out((invocation.command === undefined ? generalHelp(version()) : commandHelp(invocation.command)).trimEnd())
      return EXIT.done
    }
    case 'capture': {
      if (invocation.values.listInterfaces)
        return run({ run: 'interfaces', values: { ...invocation.values, interface: [], verbose: false }, words: [], beforeDashes: 0 }, io)
      const { runCapture } = await import('./capture.js')
      return runCapture(invocation.values, invocation.words, io)
    }
    case 'interfaces': {
      const { runInterfaces } = await import('./interfaces.js')
      return runInterfaces(invocation.values, io)
    }
    case 'rate': {
      const { runRate } = await import('./rate.js')
      return runRate(invocation.values, io)
    }
    case 'count': {
      const { runCount } = await import('./count.js')
      return runCount(invocation.values, io)
    }
    case 'filter': {
      const { runFilter } = await import('./filter.js')
      return runFilter(invocation.values, invocation.words, io)
    }
    case 'flood': {
      const { runFlood } = await import('./flood.js')
      return runFlood(invocation.values, io)
    }
    case 'read': {
      const { runRead } = await import('./read.js')
      return runRead(invocation.values, invocation.words, invocation.beforeDashes, io)
    }
    case 'replay': {
      const { runReplay } = await import('./replay.js')
      return runReplay(invocation.values, invocation.words, io)
    }
    case 'tune': {
      const { runTune } = await import('./tune.js')
      return runTune(invocation.values, io)
    }
    case 'bench': {
      const { runBench } = await import('./bench/command.js')
      return runBench(invocation.values, io)
    }
    case 'doctor': {
      const { runDoctor } = await import('./doctor.js')
      return runDoctor(invocation.values, io)
    }
    case 'size': {
      const { runSize } = await import('./size.js')
      return runSize(invocation.values, io)
    }
  }
}

/** The expression, with carets below what is wrong with it. */
async function underline(error: unknown, io: ProcessIo): Promise<void> {
  const { FilterError, underlineError } = await import('../index.js')
  if (error instanceof FilterError) for (const line of underlineError(error).split('\n')) io.err(`  ${line}`)
}

function wantsJson(invocation: Invocation): boolean {
  return 'values' in invocation && invocation.values.json
}

function version(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  return version
}

process.exitCode = await main(process.argv.slice(2), processIo())
