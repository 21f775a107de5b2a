"""Controls headless Chromium over its debugging pipe: opens pages and reads text and console."""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest

AXE = pathlib.Path(__file__).parents[1] / 'jaxdl/report/javascript/node_modules/axe-core/axe.min.js'
RUN_AXE = """axe.run({}).then(found => JSON.stringify(found.violations.map(one =>
  [one.id, one.nodes.map(node => node.html.slice(0, 200))])))"""
DEEP_TEXT = """(() => {  // the text of a page and of all its shadow trees and frames
  const within = node => [node.shadowRoot, node.contentDocument?.body, ...node.childNodes].filter(Boolean);
  const walk = node => node.nodeType === 3 ? node.data :
      ['STYLE', 'SCRIPT'].includes(node.nodeName) ? '' : within(node).map(walk).join(' ');
  return walk(document.body).replace(/\\s+/g, ' ');
})()"""


@contextlib.contextmanager
def opened(folder):
  """Yields a Page; skips the test if Chromium is not installed.

  Args:
    folder: folder of the browser's profile.
  """
  chromium = shutil.which('chromium')
  if chromium is None:
    pytest.skip('chromium is not installed: apt install chromium')
  (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
  command = [
    'bash',
    '-c',
    f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}',
    chromium,
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--enable-unsafe-swiftshader',
    '--remote-debugging-pipe',
    '--window-size=1400,1000',
    f'--user-data-dir={folder}',
  ]  # Chromium reads from file descriptor 3 and writes to 4
  process = subprocess.Popen(
    command, pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
  )
  os.close(theirs_in)
  os.close(theirs_out)
  try:
    with open(ours_in, 'rb') as reads, open(ours_out, 'wb') as writes:
      yield Page(reads, writes)
  finally:
    process.terminate()
    process.wait()


class Page:
  """One browser tab.

  Attributes:
    console: errors in the console, including those of scripts and requests.
  """

  def __init__(self, reads, writes):
    self.reads, self.writes, self.last, self.session, self.console = reads, writes, 0, {}, []
    target = self.ask('Target.createTarget', url='about:blank')['targetId']
    self.session = {
      'sessionId': self.ask('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
    }
    for domain in ('Page', 'Runtime', 'Log'):
      self.ask(f'{domain}.enable')

  def ask(self, method, **parameters):
    """Sends a command of the DevTools protocol; returns its result and records earlier events."""
    self.last += 1
    self.writes.write(
      json.dumps({'id': self.last, 'method': method, 'params': parameters, **self.session}).encode()
      + b'\0'
    )
    self.writes.flush()
    while True:
      message = json.loads(b''.join(iter(lambda: self.reads.read(1), b'\0')))
      if message.get('id') == self.last:
        assert 'error' not in message, message
        return message['result']
      self._note(message.get('method'), message.get('params', {}))

  def _note(self, event, found):
    if event == 'Runtime.exceptionThrown':
      self.console.append(json.dumps(found['exceptionDetails']))
    elif event == 'Runtime.consoleAPICalled' and found['type'] in ('error', 'assert'):
      self.console.append(json.dumps(found['args']))
    elif event == 'Log.entryAdded' and found['entry']['level'] == 'error':
      self.console.append(json.dumps(found['entry']))

  def visit(self, address):
    """Opens an address; retries until it answers."""
    end = time.monotonic() + 60
    self.ask('Page.navigate', url='about:blank')
    while 'errorText' in self.ask('Page.navigate', url=address):
      assert time.monotonic() < end, f'{address} does not answer'
      time.sleep(0.5)

  def evaluate(self, expression):
    """Returns the value of a JavaScript expression, or of its promise."""
    return self.ask(
      'Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True
    )['result'].get('value')

  def wait_until(self, expression, seconds=60):
    """Waits until a JavaScript expression is true."""
    end = time.monotonic() + seconds
    while not self.evaluate(expression):
      assert time.monotonic() < end, f'{expression} is not true; console: {self.console}'
      time.sleep(0.05)

  def violations(self, selector='html'):
    """What axe-core finds in an element: [rule, [HTML]] each; skips the test without axe-core."""
    if not AXE.is_file():
      pytest.skip('axe-core is missing: npm ci --prefix jaxdl/report/javascript')
    self.evaluate(AXE.read_text())
    return json.loads(self.evaluate(RUN_AXE.format(json.dumps(selector))))

  def emulate(self, *, width=1280, height=1000, scheme='light'):
    """Sets the size of the window, and light or dark."""
    self.ask(
      'Emulation.setDeviceMetricsOverride',
      width=width,
      height=height,
      deviceScaleFactor=1,
      mobile=False,
    )
    feature = {'name': 'prefers-color-scheme', 'value': scheme}
    self.ask('Emulation.setEmulatedMedia', features=[feature])

  def mouse(self, kind, x, y):
    """Sends an event of the left mouse button: 'mousePressed', 'mouseMoved' or 'mouseReleased'."""
    self.ask(
      'Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', buttons=1, clickCount=1
    )

  def press(self, key, *, text='', modifiers=0):
    """Presses and releases a key, such as 'Tab', 'ArrowLeft' or ' '."""
    codes = {'Tab': 9, 'Enter': 13, 'Escape': 27, 'End': 35, 'Home': 36, 'Backspace': 8}
    codes |= {'ArrowLeft': 37, 'ArrowUp': 38, 'ArrowRight': 39, 'ArrowDown': 40, ' ': 32}
    text = text or {' ': ' ', 'Enter': '\r'}.get(key, '')
    given = {
      'key': key,
      'code': {' ': 'Space'}.get(key, key),
      'windowsVirtualKeyCode': codes.get(key, 0),
      'modifiers': modifiers,
    }
    self.ask('Input.dispatchKeyEvent', type='keyDown' if text else 'rawKeyDown', text=text, **given)
    self.ask('Input.dispatchKeyEvent', type='keyUp', **given)

  def text(self):
    """Returns all text of the page."""
    return self.evaluate(DEEP_TEXT)

  def wait_for(self, *texts, seconds=60):
    """Waits until the page has all the texts; the error shows the text of the page."""
    end = time.monotonic() + seconds
    while missing := [text for text in texts if text not in (shown := self.text() or '')]:
      assert time.monotonic() < end, f'{missing} not in {shown[:3000]}; console: {self.console}'
      time.sleep(0.2)

  def screenshot(self, file):
    """Writes a screenshot as PNG."""
    file.write_bytes(base64.b64decode(self.ask('Page.captureScreenshot')['data']))
