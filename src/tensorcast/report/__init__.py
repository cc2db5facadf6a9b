"""What people and programs read: tables, trees and JSON documents made from plain data.

Nothing here reads a file or prints: functions take data of the lower floors and give lines
(`words.text.Line`) or JSON-ready dicts. `tensorcast.cli` prints them.
"""
