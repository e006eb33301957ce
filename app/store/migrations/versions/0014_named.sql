-- How many other articles name this one by its title; null: not counted since it came in.
alter table document add column named integer;
