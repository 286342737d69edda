"""Checks of examples before training: functions of plain values, one file for each kind of fault."""
