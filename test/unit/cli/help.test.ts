import assert from 'node:assert/strict'
import { test } from 'node:test'
import { commandHelp, generalHelp } from '#src/cli/help.js'
import { COMMANDS, findCommand } from '#src/cli/table.js'

function helpOf(name: string): string {
  const command = findCommand(name)
  assert.ok(command !== undefined)
  return commandHelp(command)
}

test('the general help', () => {
  assert.equal(
    generalHelp('1.2.3'),
    `ringtap 1.2.3: packet capture for Linux at line rate, through nothing but the kernel's own interfaces.

Usage: ringtap <command> [options]

Commands:
  capture     capture packets: a line a second, a summary at the end
  interfaces  list interfaces: state, addresses, driver, speed, queues
  rate        packets and bits a second from the interface's own counters
  count       count packets in the kernel by protocol, at rates that no capture keeps up with
  filter      compile a filter expression and print its program, as tcpdump -d does
  flood       make a flood on a veth interface, in the kernel
  read        print, count, describe, filter, merge, cut, split and convert capture files
  replay      send the packets of a capture file out of an interface, as they came or at a rate
  doctor      what keeps this host from capturing at line rate, and the command that mends it
  tune        set an interface's queues, interrupts and offloads for a capture, and put them back
  size        cores, rings and memory that a rate needs, and what they survive
  bench       the ladder: every way to capture, under a flood, on this machine

ringtap <command> --help says more of each. Letters mean what they mean in tcpdump: ringtap capture -i eth0 -c 1000
`,
  )
})

test('the help of a command', () => {
  assert.equal(
    helpOf('rate'),
    `Usage: ringtap rate -i IFACE [options]

Prints what the kernel's counters of an interface say, a line a second: what was received and sent,
and what the interface dropped. Captures nothing and needs no privilege.

Compare it with ringtap capture: what stands here and not there was lost before any socket saw it.

What to capture:
  -i, --interface IFACE           interface
      --netns NAME|PATH|PID       network namespace: a name in /run/netns, a path, or a pid

Output:
      --interval TIME             time between lines (default: 1s)
  -c, --count N                   end after N lines
      --duration TIME             end after this time
      --json                      JSON lines instead of text

Examples:
  ringtap rate -i eth0
      a line a second, until Ctrl-C
  ringtap rate -i eth0 --interval 100ms -c 50 --json
      fifty fine-grained values, for a program to read
`,
  )
})

test('a command with actions lists them', () => {
  assert.match(helpOf('tune'), /\n\nActions:\n {2}show {4}how it stands.*\n {2}plan {4}.*\n {2}apply {3}do it\n {2}revert {2}put back.*\n\nWhat to tune:\n/)
})

test('every option is in the help of its command, and no line is wider than 100', () => {
  for (const command of COMMANDS) {
    const help = helpOf(command.name)
    for (const option of command.options) assert.ok(help.includes(`--${option.name}`), `${command.name} --${option.name}`)
    for (const line of help.split('\n')) assert.ok(line.length <= 100, line)
  }
})
